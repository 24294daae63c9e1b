//! The book's table of settings is the one that the server checks by.

const BEGIN: &str = "<!-- settings -->\n";
const END: &str = "<!-- /settings -->";

#[test]
fn the_book_shows_the_table_that_the_server_checks_by() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../book/src/configuration.md");
    let chapter = std::fs::read_to_string(path).unwrap();
    let begin = chapter.find(BEGIN).unwrap() + BEGIN.len();
    let end = chapter.find(END).unwrap();
    let table = grid_server::config::markdown();
    if std::env::var_os("GRID_UPDATE_BOOK").is_some() {
        std::fs::write(
            path,
            format!("{}{table}{}", &chapter[..begin], &chapter[end..]),
        )
        .unwrap();
        return;
    }
    assert_eq!(
        &chapter[begin..end],
        table,
        "run this test with GRID_UPDATE_BOOK=1"
    );
}
