//! Expands the streams of a PDF file within one bound for all of them.
//! Never hands a compressed stream on before it is known how large it becomes.

use std::borrow::Cow;
use std::io::Read;

use flate2::read::ZlibDecoder;
use hayro_syntax::object::{Array, Dict, Stream};

use crate::extract::fault::Fault;

/// Streams that are expanded when a file is opened.
const STRUCTURE: [&[u8]; 2] = [b"/ObjStm", b"/XRef"];
/// Parts of a font that are read to know its characters.
const FONT_PARTS: [&str; 4] = ["FontFile", "FontFile2", "FontFile3", "ToUnicode"];

/// What may still be expanded.
#[derive(Debug)]
pub(super) struct Streams {
    left: u64,
    most: u64,
}

impl Streams {
    pub(super) fn new(most: u64) -> Self {
        Self { left: most, most }
    }

    /// The content of a stream; `None` when it is broken or a picture.
    pub(super) fn expanded<'a>(&mut self, stream: &Stream<'a>) -> Result<Option<Cow<'a, [u8]>>, Fault> {
        self.measure(stream)?;
        Ok(stream.decoded_data().ok())
    }

    /// Counts the streams that a font consists of.
    pub(super) fn measure_font(&mut self, font: &Dict<'_>) -> Result<(), Fault> {
        let inner = font.get::<Array<'_>>("DescendantFonts");
        let inner = inner.and_then(|fonts| fonts.iter::<Dict<'_>>().next());
        let parts = [Some(font.clone()), described(font), inner.as_ref().and_then(described)];
        for part in parts.iter().flatten() {
            for name in FONT_PARTS {
                if let Some(stream) = part.get::<Stream<'_>>(name) {
                    self.measure(&stream)?;
                }
            }
        }
        Ok(())
    }

    /// Counts the streams that are expanded when the file is opened.
    pub(super) fn measure_structure(&mut self, file: &[u8]) -> Result<(), Fault> {
        for kind in STRUCTURE {
            let mut rest = file;
            while let Some(at) = find(rest, kind) {
                rest = rest.get(at + kind.len()..).unwrap_or_default();
                let Some(start) = find(rest, b"stream") else { break };
                let data = rest.get(start + 6..).unwrap_or_default();
                self.count(expanded_size(data.trim_ascii_start(), self.left))?;
            }
        }
        Ok(())
    }

    fn measure(&mut self, stream: &Stream<'_>) -> Result<(), Fault> {
        let raw = stream.raw_data();
        let size = u64::try_from(raw.len()).unwrap_or(u64::MAX);
        self.count(expanded_size(&raw, self.left).max(size))
    }

    fn count(&mut self, bytes: u64) -> Result<(), Fault> {
        self.left = self.left.checked_sub(bytes).ok_or(Fault::Expands(self.most))?;
        Ok(())
    }
}

/// How large compressed data becomes, as far as one byte more than `most`; broken data counts up to where it breaks.
fn expanded_size(data: &[u8], most: u64) -> u64 {
    let mut decoder = ZlibDecoder::new(data).take(most.saturating_add(1));
    let mut size = 0_u64;
    let mut buffer = [0; 16 * 1_024];
    while let Ok(read @ 1..) = decoder.read(&mut buffer) {
        size = size.saturating_add(u64::try_from(read).unwrap_or(u64::MAX));
    }
    size
}

fn described<'a>(font: &Dict<'a>) -> Option<Dict<'a>> {
    font.get::<Dict<'_>>("FontDescriptor")
}

/// Where something stands first.
pub(super) fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}
