//! `POSTRIDER__SECTION__KEY` environment variables over the settings file.

use toml::{Table, Value};

/// What such variables begin with.
const PREFIX: &str = "POSTRIDER__";

/// One variable: its name, and the path of keys it sets.
pub(super) struct Variable {
    pub(super) name: String,
    path: Vec<String>,
    text: String,
}

/// Our variables out of `environment`, sorted by name so that the result does
/// not depend on their order.
pub(super) fn variables(environment: impl Iterator<Item = (String, String)>) -> Vec<Variable> {
    let mut variables: Vec<_> = environment
        .filter_map(|(name, text)| {
            let path = name.strip_prefix(PREFIX)?;
            let path = path.split("__").map(str::to_lowercase).collect();
            Some(Variable { name, path, text })
        })
        .collect();
    variables.sort_by(|a, b| a.name.cmp(&b.name));
    variables
}

impl Variable {
    /// The values that the text may mean, the likelier first: `12` is a number
    /// before it is a text, `["a"]` a list.
    pub(super) fn readings(&self) -> Vec<Value> {
        let text = Value::String(self.text.clone());
        let typed = format!("x = {}", self.text).parse::<Table>();
        match typed.ok().and_then(|mut table| table.remove("x")) {
            Some(typed) if typed != text => vec![typed, text],
            _ => vec![text],
        }
    }

    /// Puts `value` at the path; what is wrong with the path otherwise.
    pub(super) fn set(&self, table: &mut Table, value: Value) -> Result<(), String> {
        let Some((last, parents)) = self.path.split_last() else {
            return Err("the name has no key".into());
        };
        if self.path.iter().any(String::is_empty) {
            return Err("the name has an empty part; write POSTRIDER__SECTION__KEY".into());
        }
        let mut table = table;
        for (depth, key) in parents.iter().enumerate() {
            table = descend(table, key, parents.get(depth + 1))?;
        }
        // A list's element was resolved by its parent.
        table.insert(last.clone(), value);
        Ok(())
    }
}

/// The table under `key`, made where it is missing. For a list of tables the
/// next part of the path, a number, picks the element.
fn descend<'a>(
    table: &'a mut Table,
    key: &str,
    next: Option<&String>,
) -> Result<&'a mut Table, String> {
    // An index was used up together with the list's own key.
    if let Ok(_index) = key.parse::<usize>()
        && !table.contains_key(key)
    {
        return Ok(table);
    }
    let entry = table
        .entry(key)
        .or_insert_with(|| Value::Table(Table::new()));
    match entry {
        Value::Table(table) => Ok(table),
        Value::Array(items) => {
            let count = items.len();
            let index = next.and_then(|next| next.parse::<usize>().ok());
            let item = index.and_then(|index| items.get_mut(index));
            item.and_then(Value::as_table_mut).ok_or_else(|| {
                format!("`{key}` is a list of {count}; name one by its number, from 0")
            })
        }
        _ => Err(format!(
            "`{key}` is a single value and has no keys below it"
        )),
    }
}
