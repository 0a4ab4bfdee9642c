//! Finds the parts of Office documents by their relations, and reads the properties that packed formats state alike.
//! Never reads the text of a document.

use serde_json::{Map, Value};

use crate::extract::archive::{Archive, resolved};
use crate::extract::fault::Fault;
use crate::extract::metadata::{field, note, note_language, note_time, stated_title};
use crate::extract::xml::{Piece, Xml, decoded};

/// What one part says of another.
pub(super) struct Relation {
    /// What it is called where it is used.
    pub(super) id: String,
    /// The last step of its type: `styles`, `footnotes`, `slide`.
    pub(super) kind: String,
    /// The name of the other part.
    pub(super) part: String,
}

/// The relations of a part to others within the archive.
pub(super) fn relations(archive: &mut Archive<'_>, part: &str) -> Result<Vec<Relation>, Fault> {
    let (folder, name) = part.rsplit_once('/').unwrap_or(("", part));
    let Some(bytes) = archive.part(&resolved("", &format!("{folder}/_rels/{name}.rels")))? else {
        return Ok(Vec::new());
    };
    let text = decoded(&bytes);
    let mut xml = Xml::new(&text);
    let mut relations = Vec::new();
    while let Some(piece) = xml.next()? {
        let Piece::Start(element) = piece else { continue };
        let fields = (element.attribute("Id"), element.attribute("Type"), element.attribute("Target"));
        if let (Some(id), Some(kind), Some(target)) = fields
            && element.attribute("TargetMode").as_deref() != Some("External")
        {
            let kind = kind.rsplit('/').next().unwrap_or_default().to_owned();
            relations.push(Relation { id, kind, part: resolved(part, &target) });
        }
    }
    Ok(relations)
}

/// The part that a document begins with.
pub(super) fn main_part(archive: &mut Archive<'_>, usual: &str) -> Result<String, Fault> {
    let relations = relations(archive, "")?;
    let main = relations.into_iter().find(|relation| relation.kind == "officeDocument");
    Ok(main.map(|main| main.part).filter(|part| archive.has(part)).unwrap_or_else(|| usual.to_owned()))
}

/// Title and metadata as a document states them.
#[derive(Debug, Default)]
pub(super) struct Properties {
    /// The title, if there is one.
    pub(super) title: Option<String>,
    /// Author, times, language and description.
    pub(super) metadata: Map<String, Value>,
}

/// The properties of an Office document.
pub(super) fn properties(archive: &mut Archive<'_>) -> Result<Properties, Fault> {
    match archive.part("docProps/core.xml")? {
        Some(bytes) => dublin_core(&decoded(&bytes), field::MODIFIED),
        None => Ok(Properties::default()),
    }
}

/// Properties by their Dublin Core names; `date` tells which of the times a plain date is.
pub(super) fn dublin_core(text: &str, date: &str) -> Result<Properties, Fault> {
    let mut xml = Xml::new(text);
    let mut found = Properties::default();
    let mut authors: Vec<String> = Vec::new();
    let mut first_author = String::new();
    while let Some(piece) = xml.next()? {
        let Piece::Start(element) = piece else { continue };
        let fields = &mut found.metadata;
        match element.name() {
            "title" if found.title.is_none() => {
                found.title = stated_title(&xml.text()?);
            }
            "creator" => authors.push(xml.text()?.trim().to_owned()),
            "initial-creator" => first_author = xml.text()?,
            "description" => note(fields, field::DESCRIPTION, &xml.text()?),
            "language" if !fields.contains_key(field::LANGUAGE) => {
                note_language(fields, &xml.text()?);
            }
            "created" | "creation-date" => note_time(fields, field::CREATED, &xml.text()?),
            "modified" => note_time(fields, field::MODIFIED, &xml.text()?),
            "date" => note_time(fields, date, &xml.text()?),
            "meta" if element.attribute("property").as_deref() == Some("dcterms:modified") => {
                note_time(fields, field::MODIFIED, &xml.text()?);
            }
            // What follows in an e-book is no property.
            "manifest" => break,
            _ => {}
        }
    }
    authors.retain(|author| !author.is_empty());
    let authors = if first_author.trim().is_empty() { authors.join(", ") } else { first_author };
    note(&mut found.metadata, field::AUTHOR, &authors);
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn properties_become_metadata() {
        let found = dublin_core(
            "<c><dc:title> Plan </dc:title><dc:creator>Ada</dc:creator><dc:creator>Bo</dc:creator>
             <dc:language>de-DE</dc:language><dcterms:created>2024-01-02T03:04:05Z</dcterms:created>
             <dc:date>2024-02-03</dc:date><dc:description/></c>",
            field::MODIFIED,
        )
        .unwrap();
        assert_eq!(found.title.as_deref(), Some("Plan"));
        assert_eq!(
            Value::Object(found.metadata),
            json!({"author": "Ada, Bo", "language": "de-DE", "created": "2024-01-02T03:04:05Z", "modified": "2024-02-03T00:00:00Z"})
        );
    }
}
