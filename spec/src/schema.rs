//! The JSON Schemas of the files, from their types.

use std::sync::LazyLock;

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::Value;

use crate::file::{AppFile, SourceFile};

/// The JSON Schema (draft 2020-12) of an app file.
pub fn schema() -> Value {
    APP.clone()
}

/// The JSON Schema (draft 2020-12) of `homeostat.toml`.
pub fn source_schema() -> Value {
    SOURCE.clone()
}

pub(crate) static APP: LazyLock<Value> = LazyLock::new(generate::<AppFile>);
pub(crate) static SOURCE: LazyLock<Value> = LazyLock::new(generate::<SourceFile>);

fn generate<T: JsonSchema>() -> Value {
    let generator = SchemaSettings::draft2020_12().into_generator();
    let mut schema = generator.into_root_schema_for::<T>().to_value();
    remove_null(&mut schema);
    schema
}

/// Takes out that an optional field may be null: TOML has no null.
fn remove_null(schema: &mut Value) {
    match schema {
        Value::Object(object) => {
            if object.get("default").is_some_and(|default| !default.is_boolean() && !default.is_number()) {
                object.remove("default");
            }
            if let Some(Value::Array(types)) = object.get_mut("type") {
                types.retain(|name| name != "null");
                if let [single] = &types[..] {
                    let single = single.clone();
                    object.insert("type".to_owned(), single);
                }
            }
            if let Some(Value::Array(alternatives)) = object.get_mut("anyOf") {
                alternatives.retain(|alternative| alternative["type"] != "null");
                if alternatives.len() == 1
                    && let Some(Value::Object(single)) = alternatives.pop()
                {
                    object.remove("anyOf");
                    for (key, value) in single {
                        object.entry(key).or_insert(value);
                    }
                }
            }
            object.values_mut().for_each(remove_null);
        }
        Value::Array(items) => items.iter_mut().for_each(remove_null),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scalar::check_of;

    /// Formats that schemars gives to the number types of Rust.
    const NUMBERS: [&str; 2] = ["uint32", "double"];

    #[test]
    fn every_format_of_the_schemas_has_a_check_and_its_examples_pass() {
        for schema in [schema(), source_schema()] {
            let mut seen = 0;
            visit(&schema, &mut |format, object| {
                seen += 1;
                let check = check_of(format);
                assert!(check.is_some() || NUMBERS.contains(&format), "{format}");
                for example in object["examples"].as_array().into_iter().flatten() {
                    check.unwrap()(example.as_str().unwrap()).unwrap();
                }
            });
            assert!(seen > 5);
        }
    }

    fn visit(schema: &Value, look: &mut dyn FnMut(&str, &Value)) {
        if let Some(format) = schema["format"].as_str() {
            look(format, schema);
        }
        match schema {
            Value::Object(object) => object.values().for_each(|value| visit(value, look)),
            Value::Array(items) => items.iter().for_each(|value| visit(value, look)),
            _ => {}
        }
    }
}
