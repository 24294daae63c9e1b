//! Text as HTML.

/// `text` with nothing in it that HTML would read as its own.
pub(super) fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            other => safe.push(other),
        }
    }
    safe
}

/// What of `text` fits into a width in pixels, in the diagram's letters.
pub(super) fn fitted(text: &str, width: i32) -> String {
    let letters = usize::try_from(width * 10 / LETTER_TENTHS).unwrap_or(0);
    if text.chars().count() <= letters {
        return text.to_owned();
    }
    let kept: String = text.chars().take(letters.saturating_sub(1)).collect();
    format!("{}…", kept.trim_end())
}

/// The width of a letter, in tenths of a pixel.
const LETTER_TENTHS: i32 = 66;

/// `text` in lines of at most `width` pixels, broken between words where that is possible.
pub(super) fn wrapped(text: &str, width: i32) -> Vec<String> {
    let letters = usize::try_from(width * 10 / LETTER_TENTHS)
        .unwrap_or(1)
        .max(1);
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let mut rest: Vec<char> = word.chars().collect();
        while !rest.is_empty() {
            let Some(line) = lines.last_mut() else { break };
            let used = line.chars().count();
            let gap = usize::from(used > 0);
            if used + gap + rest.len() <= letters || used == 0 {
                line.push_str(&" "[..gap]);
                let fits = rest.len().min(letters);
                line.extend(rest.drain(..fits));
            } else {
                lines.push(String::new());
            }
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_in_text_stays_text() {
        assert_eq!(
            escaped("<a b=\"c\">&'"),
            "&lt;a b=&quot;c&quot;&gt;&amp;&#39;"
        );
    }

    #[test]
    fn what_does_not_fit_ends_with_an_ellipsis() {
        assert_eq!(fitted("short", 66), "short");
        assert_eq!(fitted("eleven chars", 66), "eleven ch…");
    }

    #[test]
    fn lines_break_between_words_and_within_those_that_are_too_long() {
        assert_eq!(wrapped("one two three", 60), ["one two", "three"]);
        assert_eq!(wrapped("abcdefghijkl", 40), ["abcdef", "ghijkl"]);
    }
}
