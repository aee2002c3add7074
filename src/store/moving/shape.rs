//! The columns of a table, and the statements that read and store its rows.

use super::{SystemTx, tables::moved, traced};

/// A table with its columns.
#[derive(Debug)]
pub struct Shape {
    /// Name of the table, one of the list.
    pub table: &'static str,
    columns: Vec<Column>,
}

/// A stored column.
#[derive(Debug)]
struct Column {
    table: String,
    name: String,
    /// The name as part of a statement.
    quoted: String,
    /// The type as part of a statement.
    kind: String,
    /// Whether it is `json` or `jsonb`, which travel as text.
    is_json: bool,
    is_text: bool,
    /// Its place in the primary key, from 1.
    key_place: Option<i32>,
}

/// The tables that move, in their order.
pub async fn shapes(tx: &mut SystemTx) -> sqlx::Result<Vec<Shape>> {
    let names: Vec<&str> = moved().collect();
    let mut columns: Vec<Column> = sqlx::query_as!(
        Column,
        r#"
        select c.relname as "table!", a.attname as "name!", quote_ident(a.attname) as "quoted!",
               format_type(a.atttypid, a.atttypmod) as "kind!",
               a.atttypid in ('json'::regtype, 'jsonb'::regtype) as "is_json!",
               a.attcollation <> 0 as "is_text!",
               array_position(k.conkey, a.attnum) as "key_place?"
        from pg_class c
        join pg_namespace n on n.oid = c.relnamespace
        join pg_attribute a on a.attrelid = c.oid
        left join pg_constraint k on k.conrelid = c.oid and k.contype = 'p'
        where n.nspname = current_schema() and c.relname = any($1::text[])
          and a.attnum > 0 and not a.attisdropped and a.attgenerated = ''
        order by c.relname, a.attnum
        "#,
        &names as &[&str],
    )
    .fetch_all(traced!(tx, "moving.shapes"))
    .await?;
    let mut shapes = Vec::with_capacity(names.len());
    for table in moved() {
        let (own, others) = columns.into_iter().partition(|column| column.table == table);
        columns = others;
        shapes.push(Shape { table, columns: own });
    }
    Ok(shapes)
}

impl Shape {
    /// Columns of the primary key, in its order.
    #[must_use]
    pub fn key(&self) -> Vec<String> {
        self.key_columns().into_iter().map(|column| column.name.clone()).collect()
    }

    fn key_columns(&self) -> Vec<&Column> {
        let mut key: Vec<&Column> =
            self.columns.iter().filter(|column| column.key_place.is_some()).collect();
        key.sort_by_key(|column| column.key_place);
        key
    }

    fn list(&self, part: impl Fn(&Column) -> String) -> String {
        self.columns.iter().map(part).collect::<Vec<_>>().join(", ")
    }

    /// Selects the rows of the workspace `$1`.
    pub(super) fn select(&self) -> String {
        let table = self.table;
        let values = self.list(|Column { quoted, is_json, .. }| {
            if *is_json { format!("t.{quoted}::text as {quoted}") } else { format!("t.{quoted}") }
        });
        let place = |column: &&Column| {
            let collate = if column.is_text { " collate \"C\"" } else { "" };
            format!("t.{}{collate}", column.quoted)
        };
        let order = self.key_columns().iter().map(place).collect::<Vec<_>>().join(", ");
        format!(
            "select row_to_json(r)::text
             from {table} t
             cross join lateral (select {values}) r
             where t.workspace_id = $1
             order by {order}"
        )
    }

    /// Stores the rows `$1` of the workspace `$2`.
    pub(super) fn insert(&self) -> String {
        let table = self.table;
        let names = self.list(|column| column.quoted.clone());
        let values =
            self.list(
                |Column { quoted, kind, is_json, .. }| {
                    if *is_json { format!("r.{quoted}::{kind}") } else { format!("r.{quoted}") }
                },
            );
        let types = self.list(|Column { quoted, kind, is_json, .. }| {
            let kind = if *is_json { "text" } else { kind };
            format!("{quoted} {kind}")
        });
        format!(
            "insert into {table} ({names})
             select {values}
             from json_to_recordset($1::text::json) as r ({types})
             where r.workspace_id = $2"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(name: &str, kind: &str, key_place: Option<i32>) -> Column {
        Column {
            table: "plans".to_owned(),
            name: name.to_owned(),
            quoted: name.to_owned(),
            kind: kind.to_owned(),
            is_json: kind.starts_with("json"),
            is_text: kind == "text",
            key_place,
        }
    }

    #[test]
    fn json_travels_as_text_and_texts_are_ordered_by_bytes() {
        let columns = vec![
            column("unit", "text", Some(2)),
            column("workspace_id", "uuid", Some(1)),
            column("notes", "jsonb", None),
        ];
        let shape = Shape { table: "plans", columns };
        assert_eq!(shape.key(), ["workspace_id", "unit"]);
        let select = shape.select();
        assert!(select.contains("(select t.unit, t.workspace_id, t.notes::text as notes) r"));
        assert!(select.ends_with("order by t.workspace_id, t.unit collate \"C\""), "{select}");
        let insert = shape.insert();
        assert!(insert.contains("select r.unit, r.workspace_id, r.notes::jsonb"), "{insert}");
        assert!(insert.contains("as r (unit text, workspace_id uuid, notes text)"), "{insert}");
    }
}
