//! Text in columns.

use std::io::{self, Write};

/// Rows under a head; columns are as wide as their widest cell.
pub(crate) struct Table(Vec<Vec<String>>);

impl Table {
    pub(crate) fn new(head: &[&str]) -> Self {
        Self(vec![head.iter().map(|cell| cell.to_uppercase()).collect()])
    }

    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.0.push(cells.into_iter().collect());
    }

    pub(crate) fn write(&self, out: &mut impl Write) -> io::Result<()> {
        let width = |column: usize| {
            self.0.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max()
        };
        for row in &self.0 {
            let last = row.len().saturating_sub(1);
            for (column, cell) in row.iter().enumerate() {
                // No blanks at the end of a line.
                let width = if column == last { 0 } else { width(column).unwrap_or(0) + 2 };
                write!(out, "{cell:<width$}")?;
            }
            writeln!(out)?;
        }
        Ok(())
    }
}

/// A value, or a dash.
pub(crate) fn or_dash(value: Option<impl ToString>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| value.to_string())
}

/// Words with blanks between them, or a dash.
pub(crate) fn words(all: &[String]) -> String {
    if all.is_empty() { "-".to_owned() } else { all.join(" ") }
}
