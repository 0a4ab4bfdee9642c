//! Reads the tables of reStructuredText: grids, simple ones, and those that directives hold.
//! Never interprets what stands in a cell: its lines become one text.

use csv::ReaderBuilder;

/// Rows of cells.
pub(super) type Rows = Vec<Vec<String>>;

/// Whether a line is the upper border of a grid.
pub(super) fn is_grid_border(line: &str) -> bool {
    let line = line.trim();
    line.len() > 2
        && line.starts_with('+')
        && line.ends_with('+')
        && line.bytes().all(|byte| b"+-=".contains(&byte))
}

/// Whether a line is a border of a simple table: columns of `=`.
pub(super) fn is_simple_border(line: &str) -> bool {
    let line = line.trim();
    line.contains(' ') && line.starts_with("==") && line.bytes().all(|byte| matches!(byte, b'=' | b' '))
}

/// A grid, borders included. Cells that span columns keep their text in the first.
pub(super) fn grid(lines: &[&str]) -> Rows {
    let mut rows = Rows::new();
    let mut is_new = true;
    for line in lines.iter().map(|line| line.trim()) {
        if is_grid_border(line) {
            is_new = true;
            continue;
        }
        // A border that a cell crosses is one for the others.
        let cells = line
            .trim_matches(['|', '+'])
            .split('|')
            .map(|cell| if cell.bytes().all(|byte| b"-=+ ".contains(&byte)) { "" } else { cell.trim() });
        if std::mem::take(&mut is_new) {
            rows.push(Vec::new());
        }
        if let Some(row) = rows.last_mut() {
            append(row, cells);
        }
    }
    rows
}

/// A simple table, borders included. Columns begin where those of the first border do.
pub(super) fn simple(lines: &[&str]) -> Rows {
    let starts = lines.first().map(|border| starts(border)).unwrap_or_default();
    let mut rows = Rows::new();
    for line in lines {
        let is_rule = line.trim().bytes().all(|byte| matches!(byte, b'=' | b'-' | b' '));
        if is_rule && !line.trim().is_empty() && line.trim().len() > 2 || line.trim().is_empty() {
            continue;
        }
        let cells = cells(line, &starts);
        // A row without its first cell goes on with the row above.
        match rows.last_mut() {
            Some(above) if cells.first().is_some_and(|first| first.is_empty()) => {
                append(above, cells.into_iter());
            }
            _ => rows.push(cells.into_iter().map(str::to_owned).collect()),
        }
    }
    rows
}

fn starts(border: &str) -> Vec<usize> {
    let bytes = border.as_bytes();
    let begins = |at: usize| at == 0 || bytes.get(at - 1) == Some(&b' ');
    (0..bytes.len()).filter(|at| bytes.get(*at) == Some(&b'=') && begins(*at)).collect()
}

/// The line cut at these characters; the last cell takes the rest.
fn cells<'t>(line: &'t str, starts: &[usize]) -> Vec<&'t str> {
    let bytes: Vec<usize> = line.char_indices().map(|(at, _)| at).collect();
    let at = |column: usize| bytes.get(column).copied().unwrap_or(line.len());
    let ends = starts.iter().skip(1).map(|start| at(*start)).chain([line.len()]);
    starts.iter().zip(ends).map(|(start, end)| line.get(at(*start)..end).unwrap_or_default().trim()).collect()
}

fn append<'t>(row: &mut Vec<String>, cells: impl Iterator<Item = &'t str>) {
    for (column, cell) in cells.enumerate() {
        if row.len() <= column {
            row.push(String::new());
        }
        if let Some(text) = row.get_mut(column).filter(|_| !cell.is_empty()) {
            if !text.is_empty() {
                text.push(' ');
            }
            text.push_str(cell);
        }
    }
}

/// The content of a `list-table`: a list of lists.
pub(super) fn list(lines: &[&str]) -> Rows {
    let mut rows = Rows::new();
    for line in lines.iter().map(|line| line.trim()) {
        let (is_row, line) = match line.strip_prefix("* ") {
            Some(rest) => (true, rest.trim_start()),
            None => (false, line),
        };
        if is_row {
            rows.push(Vec::new());
        }
        let Some(row) = rows.last_mut() else { continue };
        if line == "-" || line.starts_with("- ") {
            row.push(line.trim_start_matches('-').trim().to_owned());
        } else if let Some(cell) = row.last_mut().filter(|_| !line.is_empty()) {
            cell.push(' ');
            cell.push_str(line);
        }
    }
    rows
}

/// The content of a `csv-table`, below its header.
pub(super) fn separated(header: Option<&str>, lines: &[&str]) -> Rows {
    let text = header.into_iter().chain(lines.iter().map(|line| line.trim())).collect::<Vec<_>>().join("\n");
    let mut builder = ReaderBuilder::new();
    builder.has_headers(false).flexible(true).trim(csv::Trim::All);
    let reader = builder.from_reader(text.as_bytes());
    let records = reader.into_records().filter_map(Result::ok);
    records.map(|record| record.iter().map(str::to_owned).collect()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<&str> {
        text.lines().collect()
    }

    #[test]
    fn a_grid_has_rows_of_several_lines() {
        let rows = grid(&lines(
            "+-----+-------+\n| a   | b     |\n+=====+=======+\n| one | long  |\n|     | text  |\n+-----+-------+\n| two |       |\n+-----+-------+",
        ));
        assert_eq!(rows, [vec!["a", "b"], vec!["one", "long text"], vec!["two", ""]]);
    }

    #[test]
    fn a_simple_table_is_cut_at_its_columns() {
        let rows = simple(&lines(
            "===== =========\nname  meaning\n===== =========\na     first of\n      many\nö     last\n===== =========",
        ));
        assert_eq!(rows, [["name", "meaning"], ["a", "first of many"], ["ö", "last"]]);
    }

    #[test]
    fn tables_of_directives_are_rows_too() {
        assert_eq!(list(&lines("* - a\n  - b\n* - 1\n    more\n  -\n")), [["a", "b"], ["1 more", ""]]);
        assert_eq!(separated(Some("a, b"), &lines("\"x, y\", 2")), [["a", "b"], ["x, y", "2"]]);
    }
}
