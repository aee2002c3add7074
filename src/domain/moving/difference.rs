//! The first difference between an exported row and the stored one, in words.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

/// Values by column, as text: numbers keep their digits.
type Columns<'a> = BTreeMap<String, &'a RawValue>;

/// Names the difference of a table at the place of these rows; `None`: that side has no further row.
#[must_use]
pub fn of(table: &str, key: &[String], file: Option<&str>, stored: Option<&str>) -> String {
    let named = |row: &str| name(key, &columns(row));
    match (file, stored) {
        (None, None) => format!("`{table}`: none"),
        (Some(file), None) => format!("`{table}` {} is only in the file", named(file)),
        (None, Some(stored)) => format!("`{table}` {} is only on this server", named(stored)),
        (Some(file), Some(stored)) => {
            let (of_file, of_server) = (named(file), named(stored));
            if of_file != of_server {
                return format!(
                    "`{table}`: the file has {of_file} where this server has {of_server}"
                );
            }
            match other(&columns(file), &columns(stored)) {
                Some(column) => format!("`{table}` {of_file} has another `{column}`"),
                None => format!("`{table}` {of_file} is written in another way"),
            }
        }
    }
}

/// A row that cannot be read has no columns.
fn columns(row: &str) -> Columns<'_> {
    serde_json::from_str(row).unwrap_or_default()
}

/// The key without the workspace, which every row of a file has.
fn name(key: &[String], row: &Columns<'_>) -> String {
    let own = key.iter().filter(|column| key.len() == 1 || *column != "workspace_id");
    let part = |column: &String| {
        let value = row.get(column).map_or("nothing", |value| value.get());
        format!("{column} {value}")
    };
    own.map(part).collect::<Vec<_>>().join(", ")
}

/// The first column, by name, that only one row has or that differs.
fn other(file: &Columns<'_>, stored: &Columns<'_>) -> Option<String> {
    let mut all: Vec<&String> = file.keys().chain(stored.keys()).collect();
    all.sort();
    let text =
        |row: &Columns<'_>, column: &str| row.get(column).map(|value| value.get().to_owned());
    all.into_iter().find(|column| text(file, column) != text(stored, column)).cloned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_names_table_key_and_column() {
        let key = ["workspace_id".to_owned(), "goal_id".to_owned()];
        let a = r#"{"workspace_id":"w","goal_id":"a","amount":12345678901234567890}"#;
        let same_key = r#"{"workspace_id":"w","goal_id":"a","amount":12345678901234567891}"#;
        let b = r#"{"workspace_id":"w","goal_id":"b","amount":1}"#;
        for (file, stored, said) in [
            (Some(a), Some(same_key), r#"`goals` goal_id "a" has another `amount`"#),
            (
                Some(a),
                Some(b),
                r#"`goals`: the file has goal_id "a" where this server has goal_id "b""#,
            ),
            (Some(a), None, r#"`goals` goal_id "a" is only in the file"#),
            (None, Some(b), r#"`goals` goal_id "b" is only on this server"#),
            (Some("{"), Some("["), "`goals` goal_id nothing is written in another way"),
        ] {
            assert_eq!(of("goals", &key, file, stored), said);
        }
    }
}
