//! Reads the charts and diagrams of Office documents: the words on them, without the numbers that they plot.
//! Never says where they stand: the part that refers to them does.

use std::collections::HashSet;

use crate::extract::fault::Fault;
use crate::extract::outline::Outline;
use crate::extract::xml::{Piece, Xml};

/// Kinds of relations to charts and diagrams.
pub(super) const KINDS: [&str; 2] = ["chart", "diagramData"];

/// The labels of a chart or diagram, each once.
pub(super) fn read_into(outline: &mut Outline, text: &str) -> Result<(), Fault> {
    let mut xml = Xml::new(text);
    let mut labels: Vec<String> = Vec::new();
    let mut seen = HashSet::new();
    let mut in_names = false;
    while let Some(piece) = xml.next()? {
        match piece {
            Piece::Start(element) => match element.name() {
                "strCache" => in_names = true,
                name if name == "t" || (name == "v" && in_names) => {
                    let label = xml.text()?;
                    let label = label.split_whitespace().collect::<Vec<_>>().join(" ");
                    if !label.is_empty() && seen.insert(label.clone()) {
                        labels.push(label);
                    }
                }
                _ => {}
            },
            Piece::End(name) if name == "strCache" => in_names = false,
            _ => {}
        }
    }
    outline.text(&labels.join("; "));
    outline.end_block();
    Ok(())
}
