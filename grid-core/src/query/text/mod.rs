//! Queries as people write them; behind the feature `query-text`.
//!
//! ```text
//! where done = false and owner.name starts_with "An" order by created desc limit 50
//! ```
//!
//! | | |
//! | --- | --- |
//! | query | `where FILTER order by PATH [asc, desc], … limit NUMBER`, each part may be left out |
//! | filter | `and`, `or`, `not` (also `&&`, `||`, `!`), parentheses; `and` binds closer than `or`; `all`, `none` |
//! | test | `PATH = LITERAL`, also `==`, `!=`, `<>`, `<`, `<=`, `>`, `>=` |
//! | | `PATH in (LITERAL, …)` · `PATH contains LITERAL` · `PATH starts_with TEXT` |
//! | | `PATH in 1..5` (5 is not in it), `1..=5`, `1<..5` (nor is 1), `1<..=5` |
//! | | `PATH exists` · `PATH is none` (null or missing); with `not` after the path, the opposite |
//! | path | names with dots between: `owner.name`; others than letters, digits and `_` in backticks: `` `due date`.from ``; `key()` for the entry's key, `value()` for the value itself |
//! | literal | `null`, `true`, `false`, `-7`, `1.5`, `inf`, `nan`, `"text"`, `h'00ff'` (bytes) |
//!
//! Keywords are the same in capitals. In texts and backticks stand `\"`, `` \` ``, `\\`, `\n`,
//! `\r`, `\t` and `\u{e9}`. In an order `-due` is `due desc`.

mod fault;
mod filter;
mod input;
mod literal;
mod path;
mod query;
mod write;
