//! The guide's chapters and the README, so that the code in them is compiled and run as doc tests.
//!
//! Nothing else lives here. A chapter is a line below; a test sees to it that none is missing.

/// Includes one file of text for each name, as documentation that rustdoc tests.
macro_rules! chapters {
    ($($name:ident = $path:literal),* $(,)?) => {
        $(
            #[cfg(doctest)]
            #[doc = include_str!($path)]
            mod $name {}
        )*

        #[cfg(test)]
        const CHAPTERS: &[&str] = &[$($path),*];
    };
}

chapters! {
    readme = "../README.md",
    quick_start = "src/quick-start.md",
    concepts = "src/concepts.md",
    queries = "src/queries.md",
    configuration = "src/configuration.md",
    pipeline = "src/pipeline.md",
    systems_of_record = "src/systems-of-record.md",
    watching = "src/watching.md",
    operating = "src/operating.md",
    writing_a_backend = "src/writing-a-backend.md",
    simulation = "src/simulation.md",
    crash_tests = "src/crash-tests.md",
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::CHAPTERS;

    #[test]
    fn every_chapter_is_compiled_and_listed() {
        let book = Path::new(env!("CARGO_MANIFEST_DIR"));
        let summary = fs::read_to_string(book.join("src/SUMMARY.md")).expect("there is a summary");
        for file in fs::read_dir(book.join("src")).expect("there is a book") {
            let name = file.expect("readable").file_name();
            let name = name.to_str().expect("names are ASCII");
            if name == "SUMMARY.md" {
                continue;
            }
            let path = format!("src/{name}");
            assert!(
                CHAPTERS.contains(&path.as_str()),
                "{path} is not in chapters.rs"
            );
            assert!(
                summary.contains(&format!("({name})")),
                "{path} is not in SUMMARY.md"
            );
        }
    }
}
