//! Lists as files that a spreadsheet opens: comma, quotes where needed, CRLF (RFC 4180).

/// What a file of this kind is served as.
pub(crate) const KIND: &str = "text/csv; charset=utf-8";

/// Adds one row. What a spreadsheet would take for a formula is kept a text.
pub(crate) fn push<'a>(text: &mut String, cells: impl IntoIterator<Item = &'a str>) {
    for (place, cell) in cells.into_iter().enumerate() {
        if place > 0 {
            text.push(',');
        }
        let is_number = cell
            .strip_prefix('-')
            .unwrap_or(cell)
            .bytes()
            .all(|byte| byte.is_ascii_digit() || byte == b'.');
        let is_formula = cell.starts_with(['=', '+', '-', '@', '\t', '\r']) && !is_number;
        let guard = if is_formula { "'" } else { "" };
        if is_formula || cell.contains(['"', ',', '\n', '\r']) {
            text.push('"');
            text.push_str(guard);
            text.push_str(&cell.replace('"', "\"\""));
            text.push('"');
        } else {
            text.push_str(cell);
        }
    }
    text.push_str("\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_quoted_and_no_formula_runs() {
        let mut text = String::new();
        push(
            &mut text,
            ["a", "b,c", "say \"hi\"", "-1.5", "=1+1", "two\nlines", ""],
        );
        assert_eq!(
            text,
            "a,\"b,c\",\"say \"\"hi\"\"\",-1.5,\"'=1+1\",\"two\nlines\",\r\n"
        );
    }
}
