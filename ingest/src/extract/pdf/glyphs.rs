//! Reads the characters that a page shows, with their places and sizes, in the order in which it shows them.
//! Never decodes a picture, and goes into forms no deeper than any program nests them.

use std::collections::HashMap;
use std::sync::Arc;

use hayro_cmap::{BfString, load_embedded};
use hayro_font::{CMapResolverFn, Font, FontCache, FontGlyph, FontQuery, FontResolverFn};
use hayro_syntax::content::TypedIter;
use hayro_syntax::content::ops::TypedInstruction;
use hayro_syntax::object::{Array, Dict, Name, Number, Object, Stream};
use hayro_syntax::page::{Page, Resources};

use crate::extract::fault::Fault;
use crate::extract::pdf::matrix::Matrix;
use crate::extract::pdf::streams::Streams;

/// Forms within forms; a form that shows itself ends here.
const DEEPEST: usize = 12;
/// Graphics states that a page may save.
const MOST_STATES: usize = 512;
/// A page of a newspaper has 50,000; what shows more was made to exhaust its reader.
const MOST_GLYPHS: usize = 500_000;
/// Flags of annotations that are not shown: hidden, and not on a screen.
const HIDDEN: u32 = 0b10_0010;
const UNITS_PER_EM: f64 = 1_000.0;

/// A character, or several that are one glyph.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Glyph {
    pub(super) text: String,
    /// Along the line of writing, where it begins and ends.
    pub(super) from: f64,
    pub(super) to: f64,
    /// Across it: larger is higher.
    pub(super) height: f64,
    pub(super) size: f64,
    /// The direction of writing in degrees.
    pub(super) angle: i32,
    pub(super) is_bold: bool,
    /// Whether it was filled in or written over the page.
    pub(super) is_field: bool,
}

/// What the pages showed beside text.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// Glyphs whose characters their font does not tell.
    pub(super) unknown: usize,
    pub(super) pictures: usize,
}

/// The fonts of a file.
pub(super) struct Fonts<'a> {
    cache: FontCache<'a>,
    standard: FontResolverFn,
    cmaps: CMapResolverFn,
}

impl Default for Fonts<'_> {
    fn default() -> Self {
        let standard = |query: &FontQuery| match query {
            FontQuery::Standard(font) => Some(font.get_font_data()),
            FontQuery::Fallback(font) => Some(font.pick_standard_font().get_font_data()),
        };
        Self { cache: FontCache::new(), standard: Arc::new(standard), cmaps: Arc::new(load_embedded) }
    }
}

/// The characters of a page.
pub(super) fn read<'a>(
    page: &'a Page<'a>,
    fonts: &Fonts<'a>,
    streams: &mut Streams,
    seen: &mut Seen,
) -> Result<Vec<Glyph>, Fault> {
    let mut content = Vec::new();
    for stream in contents(page.raw()) {
        content.extend_from_slice(&streams.expanded(&stream)?.unwrap_or_default());
        content.push(b'\n');
    }
    let mut canvas = Canvas { fonts, streams, seen, glyphs: Vec::new(), depth: 0, in_fields: false };
    canvas.show(&content, page.resources(), State::new(Matrix::IDENTITY))?;
    canvas.fields(page)?;
    if canvas.glyphs.len() > MOST_GLYPHS {
        return Err(Fault::Hostile(format!("it shows more than {MOST_GLYPHS} characters on one page")));
    }
    Ok(canvas.glyphs)
}

fn contents<'a>(page: &Dict<'a>) -> Vec<Stream<'a>> {
    if let Some(stream) = page.get::<Stream<'_>>("Contents") {
        return vec![stream];
    }
    page.get::<Array<'_>>("Contents").map(|all| all.iter::<Stream<'_>>().collect()).unwrap_or_default()
}

/// A font with what its name tells.
#[derive(Clone)]
struct Face<'a> {
    font: Font<'a>,
    is_bold: bool,
}

#[derive(Clone)]
struct State<'a> {
    ctm: Matrix,
    text: Matrix,
    line: Matrix,
    face: Option<Face<'a>>,
    size: f64,
    char_space: f64,
    word_space: f64,
    scale: f64,
    leading: f64,
    rise: f64,
}

impl State<'_> {
    fn new(ctm: Matrix) -> Self {
        Self {
            ctm,
            text: Matrix::IDENTITY,
            line: Matrix::IDENTITY,
            face: None,
            size: 1.0,
            char_space: 0.0,
            word_space: 0.0,
            scale: 1.0,
            leading: 0.0,
            rise: 0.0,
        }
    }

    fn next_line(&mut self, x: f64, y: f64) {
        self.line = Matrix::moved(x, y).within(self.line);
        self.text = self.line;
    }

    fn advance(&mut self, x: f64, y: f64) {
        self.text = Matrix::moved(x, y).within(self.text);
    }
}

struct Canvas<'c, 'a> {
    fonts: &'c Fonts<'a>,
    streams: &'c mut Streams,
    seen: &'c mut Seen,
    glyphs: Vec<Glyph>,
    depth: usize,
    in_fields: bool,
}

impl<'a> Canvas<'_, 'a> {
    fn show(&mut self, content: &[u8], resources: &Resources<'a>, mut state: State<'a>) -> Result<(), Fault> {
        let mut saved: Vec<State<'a>> = Vec::new();
        // For each open piece of marked content, whether it is left out.
        let mut marked: Vec<bool> = Vec::new();
        let mut faces: HashMap<Vec<u8>, Option<Face<'a>>> = HashMap::new();
        let mut operations = TypedIter::new(content);
        while let Some(operation) = operations.next() {
            match operation {
                TypedInstruction::SaveState(_) if saved.len() < MOST_STATES => saved.push(state.clone()),
                TypedInstruction::RestoreState(_) => state = saved.pop().unwrap_or(state),
                TypedInstruction::TextFont(font) => {
                    state.size = font.1.as_f64();
                    let known = faces.get(font.0.as_ref()).cloned();
                    state.face = match known {
                        Some(face) => face,
                        None => self.face(resources, font.0)?,
                    };
                    faces.insert(font.0.as_ref().to_vec(), state.face.clone());
                }
                TypedInstruction::BeginMarkedContent(_) => marked.push(false),
                TypedInstruction::BeginMarkedContentWithProperties(content) => {
                    marked.push(content.0.as_str() == "Artifact" && is_pagination(content.1));
                }
                TypedInstruction::EndMarkedContent(_) => {
                    marked.pop();
                }
                TypedInstruction::XObject(object) if !marked.contains(&true) => {
                    self.object(resources, object.0, &state)?;
                }
                TypedInstruction::InlineImage(_) => self.seen.pictures += 1,
                operation => self.text(&operation, &mut state, marked.contains(&true)),
            }
        }
        Ok(())
    }

    fn text(&mut self, operation: &TypedInstruction<'_, '_>, state: &mut State<'a>, is_left_out: bool) {
        match operation {
            TypedInstruction::Transform(m) => {
                let m = [&m.0, &m.1, &m.2, &m.3, &m.4, &m.5].map(Number::as_f64);
                state.ctm = Matrix(m).within(state.ctm);
            }
            TypedInstruction::BeginText(_) => (state.text, state.line) = (Matrix::IDENTITY, Matrix::IDENTITY),
            TypedInstruction::SetTextMatrix(m) => {
                let m = [&m.0, &m.1, &m.2, &m.3, &m.4, &m.5].map(Number::as_f64);
                (state.text, state.line) = (Matrix(m), Matrix(m));
            }
            TypedInstruction::CharacterSpacing(space) => state.char_space = space.0.as_f64(),
            TypedInstruction::WordSpacing(space) => state.word_space = space.0.as_f64(),
            TypedInstruction::HorizontalScaling(percent) => state.scale = percent.0.as_f64() / 100.0,
            TypedInstruction::TextLeading(leading) => state.leading = leading.0.as_f64(),
            TypedInstruction::TextRise(rise) => state.rise = rise.0.as_f64(),
            TypedInstruction::NextLine(by) => state.next_line(by.0.as_f64(), by.1.as_f64()),
            TypedInstruction::NextLineAndSetLeading(by) => {
                state.leading = -by.1.as_f64();
                state.next_line(by.0.as_f64(), by.1.as_f64());
            }
            TypedInstruction::NextLineUsingLeading(_) => state.next_line(0.0, -state.leading),
            TypedInstruction::ShowText(text) => self.string(text.0.as_bytes(), state, is_left_out),
            TypedInstruction::NextLineAndShowText(text) => {
                state.next_line(0.0, -state.leading);
                self.string(text.0.as_bytes(), state, is_left_out);
            }
            TypedInstruction::ShowTextWithParameters(text) => {
                (state.word_space, state.char_space) = (text.0.as_f64(), text.1.as_f64());
                state.next_line(0.0, -state.leading);
                self.string(text.2.as_bytes(), state, is_left_out);
            }
            TypedInstruction::ShowTexts(texts) => self.strings(texts.0, state, is_left_out),
            _ => {}
        }
    }

    fn strings(&mut self, texts: &Array<'_>, state: &mut State<'a>, is_left_out: bool) {
        for text in texts.iter::<Object<'_>>() {
            match text {
                Object::String(text) => self.string(text.as_bytes(), state, is_left_out),
                Object::Number(gap) => {
                    let gap = -gap.as_f64() / UNITS_PER_EM * state.size;
                    if state.face.as_ref().is_none_or(|face| face.font.is_horizontal()) {
                        state.advance(gap * state.scale, 0.0);
                    } else {
                        state.advance(0.0, gap);
                    }
                }
                _ => {}
            }
        }
    }

    fn string(&mut self, bytes: &[u8], state: &mut State<'a>, is_left_out: bool) {
        let Some(face) = state.face.clone() else { return };
        let mut at = 0;
        while at < bytes.len() && self.glyphs.len() <= MOST_GLYPHS {
            let (code, length) = face.font.read_code(bytes, at);
            at += length.max(1);
            let advance = face.font.code_advance(code);
            let space = state.char_space + if code == 32 && length == 1 { state.word_space } else { 0.0 };
            let (x, y) = if face.font.is_horizontal() {
                ((advance.x / UNITS_PER_EM * state.size + space) * state.scale, 0.0)
            } else {
                (0.0, advance.y / UNITS_PER_EM * state.size + space)
            };
            if !is_left_out {
                let width = (advance.x / UNITS_PER_EM * state.size) * state.scale;
                self.glyph(&face, code, state, width);
            }
            state.advance(x, y);
        }
    }

    fn glyph(&mut self, face: &Face<'_>, code: u32, state: &State<'_>, width: f64) {
        let glyph = face.font.glyph(face.font.map_code(code), code);
        let unicode = match &glyph {
            FontGlyph::Outline(glyph) => glyph.as_unicode(),
            FontGlyph::Type3(glyph) => glyph.as_unicode(),
        };
        let text = match unicode {
            Some(BfString::Char(c)) => c.to_string(),
            Some(BfString::String(text)) => text,
            None => String::new(),
        };
        if text.is_empty() || text.contains('\u{FFFD}') {
            self.seen.unknown += 1;
            return;
        }
        let Matrix([xx, xy, yx, yy, x, y]) =
            Matrix::moved(0.0, state.rise).within(state.text).within(state.ctm);
        let (along, across) = (xx.hypot(xy), yx.hypot(yy));
        if !(along > 0.0 && along.is_finite() && x.is_finite() && y.is_finite()) {
            return;
        }
        let (cos, sin) = (xx / along, xy / along);
        let from = x * cos + y * sin;
        self.glyphs.push(Glyph {
            text,
            from,
            to: from + width * along,
            height: y * cos - x * sin,
            size: (state.size * across).abs(),
            angle: rounded(sin.atan2(cos).to_degrees()),
            is_bold: face.is_bold,
            is_field: self.in_fields,
        });
    }

    fn face(&mut self, resources: &Resources<'a>, name: &Name<'_>) -> Result<Option<Face<'a>>, Fault> {
        let Some(dict) = resources.get_font(name) else { return Ok(None) };
        self.streams.measure_font(&dict)?;
        let font = self.fonts.cache.font(&dict, &self.fonts.standard, &self.fonts.cmaps);
        let base =
            dict.get::<Name<'_>>("BaseFont").map(|name| name.as_str().to_lowercase()).unwrap_or_default();
        let is_bold =
            ["bold", "black", "heavy", "-medi", "cmbx", "sfbx"].iter().any(|word| base.contains(word));
        Ok(font.map(|font| Face { font, is_bold }))
    }

    /// Shows what was filled into forms or written over the page. Each field stands for itself, where its page puts it.
    fn fields(&mut self, page: &Page<'a>) -> Result<(), Fault> {
        let Some(annotations) = page.raw().get::<Array<'_>>("Annots") else { return Ok(()) };
        self.in_fields = true;
        for annotation in annotations.iter::<Dict<'_>>() {
            let kind = annotation.get::<Name<'_>>("Subtype");
            let is_hidden = annotation.get::<u32>("F").unwrap_or(0) & HIDDEN != 0;
            if is_hidden || !kind.is_some_and(|kind| matches!(kind.as_str(), "Widget" | "FreeText")) {
                continue;
            }
            let shown = annotation.get::<Dict<'_>>("AP").and_then(|look| look.get::<Stream<'_>>("N"));
            let Some(shown) = shown else { continue };
            let Some(content) = self.streams.expanded(&shown)? else { continue };
            let place =
                annotation.get::<Array<'_>>("Rect").map(|rect| rect.iter::<f64>().collect::<Vec<_>>());
            let (x, y) = match place.as_deref() {
                Some([x0, y0, x1, y1]) => (x0.min(*x1), y0.min(*y1)),
                _ => (0.0, 0.0),
            };
            let own = shown.dict().get::<Dict<'_>>("Resources").map(Resources::new);
            let resources = own.as_ref().unwrap_or(page.resources());
            self.show(&content, resources, State::new(Matrix::moved(x, y)))?;
        }
        Ok(())
    }

    fn object(&mut self, resources: &Resources<'a>, name: &Name<'_>, state: &State<'a>) -> Result<(), Fault> {
        let Some(object) = resources.get_x_object(name) else { return Ok(()) };
        let dict = object.dict();
        if dict.get::<Name<'_>>("Subtype").is_none_or(|kind| kind.as_str() != "Form") {
            self.seen.pictures += 1;
            return Ok(());
        }
        if self.depth >= DEEPEST {
            return Ok(());
        }
        let Some(content) = self.streams.expanded(&object)? else { return Ok(()) };
        let matrix = dict.get::<Array<'_>>("Matrix").map(|matrix| matrix.iter::<f64>().collect::<Vec<_>>());
        let matrix =
            matrix.and_then(|matrix| <[f64; 6]>::try_from(matrix).ok()).map_or(Matrix::IDENTITY, Matrix);
        let own = dict.get::<Dict<'_>>("Resources").map(Resources::new);
        self.depth += 1;
        let inner = State { ctm: matrix.within(state.ctm), ..state.clone() };
        let shown = self.show(&content, own.as_ref().unwrap_or(resources), inner);
        self.depth -= 1;
        shown
    }
}

/// Whether marked content is a running header or footer, as its program states.
fn is_pagination(properties: &Object<'_>) -> bool {
    let Object::Dict(properties) = properties else { return false };
    properties.get::<Name<'_>>("Type").is_some_and(|kind| kind.as_str() == "Pagination")
}

fn rounded(degrees: f64) -> i32 {
    format!("{degrees:.0}").parse().unwrap_or(0)
}
