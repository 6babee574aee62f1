//! The JSON Schemas in the repository are those of the code.

use std::path::Path;

use homeostat_spec::{schema, source_schema};

#[test]
fn the_schemas_in_the_repository_are_those_of_the_code() {
    for (file, schema) in [("app.schema.json", schema()), ("homeostat.schema.json", source_schema())] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("schema").join(file);
        let text = format!("{}\n", serde_json::to_string_pretty(&schema).unwrap());
        if std::env::var_os("UPDATE_SCHEMA").is_some() {
            fs_err::write(&path, &text).unwrap();
        }
        let recorded = fs_err::read_to_string(&path).unwrap_or_default();
        assert!(
            recorded == text,
            "spec/schema/{file} is out of date: run `UPDATE_SCHEMA=1 cargo test -p homeostat-spec --test schema`"
        );
    }
}
