//! Keeps the records of the standard input in a file, so that they are read as any other file is.
//! Never takes more than it may, and never looks at a record.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;

use lectern_schema::identifiers::DocumentId;

use crate::extract::Source;
use crate::extract::format::Format;
use crate::gather::GatherError;

/// What the records' names begin with.
const NAME: &str = "stdin";
/// The file that they are kept in.
const FILE: &str = "stdin.jsonl";

/// Takes the whole standard input, of at most `most` bytes, into a file of `folder`.
pub(super) async fn spooled(folder: &Path, most: u64) -> Result<Source, GatherError> {
    let path = folder.join(FILE);
    let format = Format::of(&path).ok_or(GatherError::StdinFormat)?;
    let document_id = DocumentId::parse(NAME).map_err(|error| GatherError::Stdin(io::Error::other(error)))?;
    let to = path.clone();
    // Ends with the input, or with the program: a terminal's end of input is the user's to give.
    let copied = tokio::task::spawn_blocking(move || copy(io::stdin().lock(), &to, most)).await?;
    let copied = copied.map_err(GatherError::Stdin)?;
    if copied > most {
        return Err(GatherError::StdinTooLarge(most));
    }
    Ok(Source { document_id, uri: NAME.to_owned(), path, format })
}

/// Copies at most one byte more than may be.
fn copy(from: impl Read, path: &Path, most: u64) -> io::Result<u64> {
    let mut to = File::create(path)?;
    let copied = io::copy(&mut from.take(most.saturating_add(1)), &mut to)?;
    to.flush()?;
    Ok(copied)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_byte_too_many_is_noticed_and_the_rest_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        assert_eq!(copy(&b"12345"[..], &path, 5).unwrap(), 5);
        assert_eq!(copy(io::repeat(b'a'), &path, 5).unwrap(), 6);
    }
}
