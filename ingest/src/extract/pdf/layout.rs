//! Puts the lines of all pages together to paragraphs, headings, lists and tables.
//! Leaves out what many pages repeat at the same place: running headers and footers.

use std::collections::{HashMap, HashSet};

use crate::extract::metadata::field;
use crate::extract::outline::Outline;
use crate::extract::pdf::bookmarks::{Bookmarks, folded};
use crate::extract::pdf::lines::{Cell, Line};

/// Lines at the top and at the bottom of a page that may be repeated on others.
const MARGIN_LINES: usize = 2;
/// Pages that must show the same line at least before it counts as repeated.
const FEWEST_REPEATED: usize = 3;
/// Lines of a paragraph are at most this many type sizes apart.
const LEADING: f64 = 1.75;
/// Type that is this much larger than that of the text is a heading.
const HEADING_SIZE: f64 = 1.15;
/// A line that fills less than this share of its column is the last one of a paragraph.
const SHORT: f64 = 0.6;
/// Longest heading in characters.
const LONGEST_HEADING: usize = 150;
/// With fewer bookmarks than this, headings are known by their type.
const FEW_BOOKMARKS: usize = 3;
/// The level of headings that are bold and no larger than the text.
const BOLD_LEVEL: u8 = 6;

/// What was made of the pages.
pub(super) struct LaidOut {
    /// The largest heading of the first page.
    pub(super) title: Option<String>,
    pub(super) outline: Outline,
}

/// Lays out all pages.
pub(super) fn outline(mut pages: Vec<Vec<Line>>, bookmarks: &Bookmarks) -> LaidOut {
    leave_out_repeated(&mut pages);
    let types = Types::of(&pages, bookmarks);
    let mut writer = Writer { types, outline: Outline::default(), open: None, rights: HashMap::new() };
    for (number, page) in (1_u64..).zip(&pages) {
        writer.rights = rights(page);
        let mut rest = page.as_slice();
        while let [line, after @ ..] = rest {
            let rows = table_rows(rest);
            if let Some(columns) = columns(rows) {
                writer.table(number, rows, &columns);
                rest = rest.get(rows.len()..).unwrap_or_default();
            } else {
                writer.line(number, line, after.first());
                rest = after;
            }
        }
    }
    writer.close();
    LaidOut { title: writer.outline.title().map(str::to_owned), outline: writer.outline }
}

/// The first lines when each of them has several cells.
fn table_rows(lines: &[Line]) -> &[Line] {
    let is_below = |pair: (&Line, &Line)| pair.1.height < pair.0.height && pair.0.angle == pair.1.angle;
    let rows = lines.iter().take_while(|line| line.cells.len() > 1).count();
    let down = lines.iter().zip(lines.iter().skip(1)).take_while(|pair| is_below(*pair)).count();
    lines.get(..rows.min(down + 1)).unwrap_or_default()
}

/// Where the columns of a table are; `None` when its cells do not stand below each other.
fn columns(rows: &[Line]) -> Option<Vec<(f64, f64)>> {
    if rows.len() < 2 {
        return None;
    }
    let mut cells: Vec<&Cell> = rows.iter().flat_map(|row| &row.cells).collect();
    cells.sort_by(|a, b| a.from.total_cmp(&b.from));
    let mut columns: Vec<(f64, f64)> = Vec::new();
    for cell in cells {
        match columns.last_mut() {
            Some((_, to)) if cell.from < *to => *to = to.max(cell.to),
            _ => columns.push((cell.from, cell.to)),
        }
    }
    let widest = rows.iter().map(|row| row.cells.len()).max().unwrap_or(0);
    (columns.len() > 1 && columns.len() >= widest.min(3)).then_some(columns)
}

fn leave_out_repeated(pages: &mut [Vec<Line>]) {
    let mut seen: HashMap<(String, i32), usize> = HashMap::new();
    for page in pages.iter() {
        let keys: HashSet<_> =
            margins(page).into_iter().filter_map(|index| page.get(index)).map(key).collect();
        for key in keys {
            *seen.entry(key).or_default() += 1;
        }
    }
    let enough = FEWEST_REPEATED.max(pages.len() / 2);
    for page in pages {
        let repeated: HashSet<usize> = margins(page)
            .into_iter()
            .filter(|index| {
                page.get(*index).is_some_and(|line| seen.get(&key(line)).is_some_and(|n| *n >= enough))
            })
            .collect();
        let mut index = 0;
        page.retain(|_| {
            index += 1;
            !repeated.contains(&(index - 1))
        });
    }
}

/// The lines nearest to the top and to the bottom.
fn margins(page: &[Line]) -> Vec<usize> {
    let mut by_height: Vec<usize> = (0..page.len()).collect();
    let height = |index: &usize| page.get(*index).map_or(0.0, |line| line.height);
    by_height.sort_by(|a, b| height(b).total_cmp(&height(a)));
    let top = by_height.iter().take(MARGIN_LINES);
    let bottom = by_height.iter().rev().take(MARGIN_LINES);
    let mut all: Vec<usize> = top.chain(bottom).copied().collect();
    all.sort_unstable();
    all.dedup();
    all
}

/// What repeated lines have in common: their text but for page numbers, and their place.
fn key(line: &Line) -> (String, i32) {
    let text = line.text();
    let text = text.chars().map(|c| if c.is_numeric() { '#' } else { c }).collect::<String>();
    let text = text.replace("##", "#").replace("##", "#");
    // A page number alone may stand at another height on each page.
    let height = if text == "#" { 0.0 } else { line.height / 4.0 };
    (text, whole(height))
}

fn whole(number: f64) -> i32 {
    format!("{number:.0}").parse().unwrap_or(0)
}

/// What type sizes mean in a file.
struct Types<'a> {
    bookmarks: &'a Bookmarks,
    body: f64,
    is_bold_rare: bool,
    /// Sizes of headings, the largest first.
    headings: Vec<f64>,
    /// The size of the title.
    title: Option<f64>,
}

impl<'a> Types<'a> {
    fn of(pages: &[Vec<Line>], bookmarks: &'a Bookmarks) -> Self {
        let mut sizes: HashMap<i64, usize> = HashMap::new();
        let (mut bold, mut all) = (0, 0);
        for line in pages.iter().flatten() {
            let chars = line.cells.iter().map(|cell| cell.text.len()).sum::<usize>();
            *sizes.entry(halves(line.size)).or_default() += chars;
            all += chars;
            bold += if line.is_bold { chars } else { 0 };
        }
        let body = sizes.iter().max_by_key(|(size, chars)| (**chars, **size)).map_or(0, |(size, _)| *size);
        let body = from_halves(body);
        let mut headings: Vec<i64> = sizes.keys().copied().collect();
        headings.retain(|size| from_halves(*size) >= body * HEADING_SIZE);
        headings.sort_unstable_by(|a, b| b.cmp(a));
        let headings: Vec<f64> = headings.into_iter().map(from_halves).collect();
        let first = pages.first().into_iter().flatten().filter(|line| line.angle == 0 && !line.is_field);
        let title = first.map(|line| line.size).max_by(f64::total_cmp);
        let title = title.filter(|size| *size >= body * HEADING_SIZE);
        Self { bookmarks, body, is_bold_rare: bold * 3 < all, headings, title }
    }

    /// The level of a heading; `None` for text.
    fn level(&self, page: u64, line: &Line, next: Option<&Line>) -> Option<u8> {
        let text = line.text();
        let letters = text.chars().filter(|c| c.is_alphabetic()).count();
        let is_long = text.chars().count() > LONGEST_HEADING;
        if is_long || letters < 2 || line.angle != 0 || line.is_field || item(&text).is_some() {
            return None;
        }
        if page == 1 && self.title.is_some_and(|size| (size - line.size).abs() < 0.5) {
            return Some(1);
        }
        if self.bookmarks.len() >= FEW_BOOKMARKS {
            return self.bookmarks.get(&folded(&text)).map(|level| level.saturating_add(1));
        }
        if line.size >= self.body * HEADING_SIZE {
            let rank = self.headings.iter().position(|size| (size - line.size).abs() < 0.5)?;
            return u8::try_from(rank + 2).ok().map(|level| level.min(BOLD_LEVEL - 1));
        }
        let stands_out = line.is_bold && self.is_bold_rare && next.is_none_or(|next| !next.is_bold);
        let ends_as_text = text.ends_with(['.', ',', ';', ':', '-']);
        (stands_out && !ends_as_text && line.cells.len() == 1 && line.size > self.body * 0.9)
            .then_some(BOLD_LEVEL)
    }
}

fn halves(size: f64) -> i64 {
    format!("{:.0}", size * 2.0).parse().unwrap_or(0)
}

fn from_halves(size: i64) -> f64 {
    i32::try_from(size).map_or(0.0, f64::from) / 2.0
}

/// Text that is not written yet.
struct Open {
    page: u64,
    text: String,
    level: Option<u8>,
    is_item: bool,
    last: Line,
    last_page: u64,
    left: f64,
}

struct Writer<'a> {
    types: Types<'a>,
    outline: Outline,
    open: Option<Open>,
    /// How far lines reach to the right, by where they begin.
    rights: HashMap<i32, f64>,
}

/// How far most lines of a page reach to the right, by where they begin: a line over several columns is not most.
fn rights(page: &[Line]) -> HashMap<i32, f64> {
    let mut rights: HashMap<i32, Vec<f64>> = HashMap::new();
    for line in page {
        rights.entry(edge(line)).or_default().push(line.to());
    }
    let upper_quarter = |mut all: Vec<f64>| {
        all.sort_by(f64::total_cmp);
        all.get(all.len() * 3 / 4).copied().unwrap_or_default()
    };
    rights.into_iter().map(|(edge, all)| (edge, upper_quarter(all))).collect()
}

/// Where a line begins, about.
fn edge(line: &Line) -> i32 {
    whole(line.from() / 4.0)
}

impl Writer<'_> {
    fn line(&mut self, page: u64, line: &Line, next: Option<&Line>) {
        let level = self.types.level(page, line, next);
        let text = line.text();
        let right = self.open.as_ref().and_then(|open| self.rights.get(&edge(&open.last))).copied();
        match &mut self.open {
            Some(open) if open.takes(page, line, level, &text) && !open.ends_before(line, right) => {
                open.add(page, line, &text);
            }
            _ => {
                self.close();
                let item = item(&text);
                self.open = Some(Open {
                    page,
                    is_item: item.is_some() && level.is_none(),
                    text: item.filter(|_| level.is_none()).map_or(text.clone(), str::to_owned),
                    level,
                    left: line.from(),
                    last: line.clone(),
                    last_page: page,
                });
            }
        }
    }

    fn table(&mut self, page: u64, rows: &[Line], columns: &[(f64, f64)]) {
        self.close();
        self.outline.place(field::PAGE, page);
        self.outline.start_table();
        for row in rows {
            self.outline.start_row();
            for (from, to) in columns {
                self.outline.start_cell();
                for cell in row.cells.iter().filter(|cell| cell.from >= *from && cell.from < *to) {
                    self.outline.text(&cell.text);
                    self.outline.text(" ");
                }
            }
        }
        self.outline.end_table();
    }

    fn close(&mut self) {
        let Some(open) = self.open.take() else { return };
        self.outline.place(field::PAGE, open.page);
        if let Some(level) = open.level {
            self.outline.start_heading(level);
        } else if open.is_item {
            self.outline.start_list(None);
            self.outline.start_item();
        }
        self.outline.text(&open.text);
        self.outline.end_block();
        if open.is_item {
            self.outline.end_list();
        }
    }
}

impl Open {
    fn takes(&self, page: u64, line: &Line, level: Option<u8>, text: &str) -> bool {
        let size = self.last.size;
        if self.level != level
            || self.last.angle != line.angle
            || self.last.is_field != line.is_field
            || item(text).is_some()
        {
            return false;
        }
        if !(0.88..1.14).contains(&(line.size / size)) {
            return false;
        }
        let down = self.last.height - line.height;
        let is_below = page == self.last_page && down > -size * 0.5 && down < size * LEADING;
        if level.is_some() {
            return is_below;
        }
        if !is_below {
            let goes_on_elsewhere = page != self.last_page || down < 0.0;
            return goes_on_elsewhere && self.is_unfinished() && text.starts_with(char::is_lowercase);
        }
        if self.is_item {
            return line.from() > self.left + size * 0.3;
        }
        let is_indented = line.from() > self.left + size * 0.8 && line.from() < self.left + size * 4.0;
        let was_short = line.to() > self.last.to() + size * 3.0 && self.text.ends_with(['.', ':', '!', '?']);
        !(is_indented || was_short || is_numbered(text))
    }

    /// Whether its last line ends far from where lines of its column end, as the last lines of paragraphs do.
    fn ends_before(&self, line: &Line, right: Option<f64>) -> bool {
        let begin = self.last.from();
        let is_short = right.is_some_and(|right| self.last.to() < begin + (right - begin) * SHORT);
        is_short && self.level.is_none() && (line.from() - begin).abs() < self.last.size
    }

    /// Whether its last line does not end a sentence.
    fn is_unfinished(&self) -> bool {
        self.level.is_none() && !self.text.trim_end().ends_with(['.', '!', '?', ':', ';', '”', '"', ')'])
    }

    /// Words that were divided at the end of a line become whole.
    fn add(&mut self, page: u64, line: &Line, text: &str) {
        let divided = self.text.strip_suffix(['-', '\u{AD}', '\u{2010}']);
        match divided {
            Some(begun) if begun.ends_with(char::is_alphabetic) && text.starts_with(char::is_lowercase) => {
                self.text.truncate(begun.len());
            }
            _ => self.text.push(' '),
        }
        self.text.push_str(text);
        self.left = if self.last_page == page { self.left.min(line.from()) } else { line.from() };
        self.last = line.clone();
        self.last_page = page;
    }
}

/// Whether a line begins as items of numbered lists do.
fn is_numbered(text: &str) -> bool {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let rest = text.get(digits..).unwrap_or_default();
    (1..=2).contains(&digits) && (rest.starts_with(". ") || rest.starts_with(") "))
}

/// The text of a list's item, without its bullet.
fn item(text: &str) -> Option<&str> {
    let rest =
        text.strip_prefix(['•', '‣', '▪', '◦', '●', '○', '■', '□', '➢', '✓', '\u{F0B7}', '\u{F0A7}'])?;
    Some(rest.trim_start())
}
