//! Reads the tables of `AsciiDoc`: cells that begin with a bar, in as many columns as are announced or as the first line has.
//! Never interprets what stands in a cell: its lines become one text.

/// Most columns: more would make rows of a number in an attribute.
const MOST_COLUMNS: usize = 200;

/// A cell and how many columns it spans.
struct Cell {
    text: String,
    columns: usize,
}

/// Rows of cells.
pub(super) fn rows(lines: &[&str], announced: Option<usize>, separator: char) -> Vec<Vec<String>> {
    let mut cells: Vec<Cell> = Vec::new();
    let mut first_line = None;
    for line in lines.iter().map(|line| line.trim()).filter(|line| !is_border(line)) {
        add(&mut cells, line, separator);
        if first_line.is_none() && !cells.is_empty() {
            first_line = Some(cells.iter().map(|cell| cell.columns).sum());
        }
    }
    let width = announced.or(first_line).unwrap_or(1).clamp(1, MOST_COLUMNS);
    let spanned = cells.into_iter().flat_map(|cell| {
        let empty = std::iter::repeat_n(String::new(), cell.columns.saturating_sub(1));
        std::iter::once(cell.text).chain(empty)
    });
    let spanned: Vec<String> = spanned.collect();
    spanned.chunks(width).map(<[String]>::to_vec).collect()
}

/// The number of columns that an attribute announces: `1,3`, `3*`, `2*,a`.
pub(super) fn columns(announced: &str) -> usize {
    let columns = announced.trim_matches(['"', '\'']).split([',', ';']).map(|column| {
        column.split_once('*').and_then(|(count, _)| count.trim().parse().ok()).unwrap_or(1_usize)
    });
    columns.fold(0, usize::saturating_add).min(MOST_COLUMNS)
}

/// Lines of blocks within cells.
fn is_border(line: &str) -> bool {
    line.len() >= 4
        && ["-", "=", ".", "*", "_"].iter().any(|mark| line.trim_matches(|c| mark.contains(c)).is_empty())
}

fn add(cells: &mut Vec<Cell>, line: &str, separator: char) {
    let mut rest = line;
    let mut is_begun = false;
    let mut columns = 1;
    loop {
        let end = unescaped(rest, separator);
        let part = rest.get(..end.unwrap_or(rest.len())).unwrap_or_default();
        let has_marks = end.is_some() && matches!(separator, '|' | '!');
        let (text, next) = if has_marks { without_spec(part) } else { (part, 1) };
        let text = text.trim().replace(&format!("\\{separator}"), &separator.to_string());
        if is_begun {
            cells.push(Cell { text, columns });
        } else if let Some(cell) = cells.last_mut().filter(|_| !text.is_empty()) {
            cell.text.push(' ');
            cell.text.push_str(&text);
        }
        let Some(end) = end else { return };
        columns = next;
        is_begun = true;
        rest = rest.get(end + separator.len_utf8()..).unwrap_or_default();
    }
}

fn unescaped(text: &str, separator: char) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut found = text.match_indices(separator).map(|(at, _)| at);
    found.find(|at| at.checked_sub(1).and_then(|before| bytes.get(before)) != Some(&b'\\'))
}

/// What stands before a bar, without the mark of the cell behind it (`2+`, `a`, `.2+^h`), and the columns of that cell.
fn without_spec(part: &str) -> (&str, usize) {
    let spec = part.rsplit(' ').next().unwrap_or_default();
    let (span, style) = spec.split_once('+').unwrap_or(("", spec));
    let is_span = span.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let is_style = style.len() <= 3 && style.trim_matches(['<', '>', '^', '.']).len() <= 1;
    let is_letter = style.trim_matches(['<', '>', '^', '.']).chars().all(|c| "adehlmsv".contains(c));
    if spec.is_empty() || !is_span || !is_style || !is_letter || (span.is_empty() && part.len() != spec.len())
    {
        return (part, 1);
    }
    let columns = span.split('.').next().and_then(|columns| columns.parse().ok()).unwrap_or(1);
    (part.strip_suffix(spec).unwrap_or(part), columns.min(MOST_COLUMNS))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(text: &str, announced: Option<usize>) -> Vec<Vec<String>> {
        rows(&text.lines().collect::<Vec<_>>(), announced, '|')
    }

    #[test]
    fn cells_fill_the_columns_of_the_first_line() {
        assert_eq!(
            table("|a |b\n\n|1\n|two\nlines\n\n|x\\|y |", None),
            [["a", "b"], ["1", "two lines"], ["x|y", ""]]
        );
    }

    #[test]
    fn announced_columns_and_marks_of_cells_count() {
        assert_eq!(columns("\"1,3\""), 2);
        assert_eq!(columns("2*,a"), 3);
        assert_eq!(table("|a\n|b\n2+|wide\na|c |d", Some(2)), [["a", "b"], ["wide", ""], ["c", "d"]]);
    }
}
