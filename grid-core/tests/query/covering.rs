//! Covers and rules against the evaluator: what an index must find, and what nothing grants.

use std::collections::BTreeSet;

use grid_core::Key;
use grid_core::query::{Cover, Fields, Filter, IndexKey, Path, check_names, field};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::document::{Document, documents, leaves};
use crate::filters::{filters, literals, paths};
use crate::reference::{self, KEY};

fn key() -> Key {
    Key::new(KEY).unwrap()
}

/// What an index finds of an entry.
fn keys(fields: &Fields, value: &[u8]) -> Vec<(Path, IndexKey)> {
    let mut found = Vec::new();
    fields.visit(&key(), value, |slot, key| {
        found.push((fields.paths()[slot].clone(), key.clone()));
    });
    found
}

fn fields_of(cover: &Cover) -> Fields {
    Fields::new(cover.iter().map(|(path, _)| path)).unwrap()
}

/// Filters that say much: what is joined is equality mostly.
fn telling() -> impl Strategy<Value = Filter> {
    let one = (paths(), vec(literals(), 1..3), any::<bool>()).prop_map(|(path, literals, one)| {
        let field = field(path);
        match &literals[..] {
            [literal] if one => field.eq(literal),
            [_] => field.is_null_or_missing(),
            _ => field.one_of(literals),
        }
    });
    one.prop_recursive(3, 8, 3, |inner| {
        prop_oneof![
            vec(inner.clone(), 1..3).prop_map(Filter::And),
            vec(inner.clone(), 1..3).prop_map(Filter::Or),
            inner.prop_map(|inner| !!inner),
        ]
    })
}

/// The same document, with every name once in each map.
fn without_doubles(document: &Document) -> Document {
    match document {
        Document::Map(entries, declared) => {
            let mut names: Vec<String> = Vec::new();
            let mut kept = Vec::new();
            for (key, value) in entries {
                if let Document::Text(parts) = key {
                    if names.contains(&parts.concat()) {
                        continue;
                    }
                    names.push(parts.concat());
                }
                kept.push((key.clone(), without_doubles(value)));
            }
            Document::Map(kept, *declared)
        }
        Document::Array(items, declared) => {
            Document::Array(items.iter().map(without_doubles).collect(), *declared)
        }
        Document::Tag(tag, inner) => Document::Tag(*tag, without_doubles(inner).into()),
        other => other.clone(),
    }
}

/// All documents that lack one entry of one map.
fn with_less(document: &Document) -> Vec<Document> {
    match document {
        Document::Map(entries, declared) => {
            let put = |entries| Document::Map(entries, *declared);
            let mut found = Vec::new();
            for place in 0..entries.len() {
                let mut fewer = entries.clone();
                let (key, value) = fewer.remove(place);
                found.push(put(fewer));
                for less in with_less(&value) {
                    let mut changed = entries.clone();
                    changed[place] = (key.clone(), less);
                    found.push(put(changed));
                }
            }
            found
        }
        Document::Tag(tag, inner) => {
            let tagged = |less: Document| Document::Tag(*tag, less.into());
            with_less(inner).into_iter().map(tagged).collect()
        }
        _ => Vec::new(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1024))]

    /// Whatever a filter takes an index finds by its cover.
    #[test]
    fn every_match_is_covered(
        filter in prop_oneof![filters(), telling()], documents in vec(documents(), 4),
    ) {
        let Some(cover) = filter.cover() else { return Ok(()) };
        let compiled = filter.compile().unwrap();
        let fields = fields_of(&cover);
        for document in &documents {
            let value = document.encode();
            if compiled.matches(&key(), &value) {
                let found = keys(&fields, &value);
                let covered = found.iter().any(|(path, key)| cover.contains(path, key));
                prop_assert!(covered, "{:?} {:?}", cover, found);
            }
        }
    }

    /// What says much has a cover, and one that tells most entries apart.
    #[test]
    fn what_tells_has_a_cover(filter in telling(), document in documents()) {
        let cover = filter.cover().expect("equalities all over");
        let value = document.encode();
        let found = keys(&fields_of(&cover), &value);
        let paths: BTreeSet<&Path> = cover.iter().map(|(path, _)| path).collect();
        prop_assert!(found.iter().map(|(path, _)| path).collect::<BTreeSet<_>>() == paths);
        prop_assert_eq!(found.len(), paths.len());
        // What a filter of one equality is found by is what it takes.
        if let Filter::Field { .. } = filter {
            let covered = found.iter().any(|(path, key)| cover.contains(path, key));
            prop_assert_eq!(covered, filter.compile().unwrap().matches(&key(), &value));
        }
    }

    /// Keys are equal exactly where values are: of everything that a literal may equal.
    #[test]
    fn index_keys_are_equal_where_values_are(
        values in vec(leaves(), 16), literals in vec(literals(), 16),
    ) {
        let fields = Fields::new([&Path::value()]).unwrap();
        for value in &values {
            let found = keys(&fields, &value.encode());
            let [(_, found)] = &found[..] else { panic!("one path") };
            for literal in &literals {
                let equal = field(Path::value()).eq(literal);
                let wanted = reference::matches(&equal, value);
                prop_assert_eq!(*found == IndexKey::of(literal), wanted, "{:?} {:?}", value, literal);
            }
        }
    }

    /// A rule grants nothing for what it lacks, and of what is plain all that its filter takes.
    #[test]
    fn less_is_never_granted_more(filter in filters(), document in documents()) {
        let Ok(rule) = filter.compile_rule() else { return Ok(()) };
        let document = without_doubles(&document);
        let value = document.encode();
        prop_assert!(check_names(&value).is_ok());
        let granted = rule.grants(&key(), &value);
        prop_assert_eq!(granted, reference::matches(&filter, &document), "{:02x?}", value);
        if !granted {
            for less in with_less(&document) {
                prop_assert!(!rule.grants(&key(), &less.encode()), "{:?} {:?}", filter, less);
            }
        }
    }

    /// In a value that passes the check every reader finds the same.
    #[test]
    fn where_names_stand_once_rules_decide_as_filters_do(
        filter in filters(), document in documents(),
    ) {
        let Ok(rule) = filter.compile_rule() else { return Ok(()) };
        let value = document.encode();
        if check_names(&value).is_ok() {
            let matches = filter.compile().unwrap().matches(&key(), &value);
            prop_assert_eq!(rule.grants(&key(), &value), matches);
        }
    }

    /// What is damaged or says a thing twice is granted no more than it matches.
    #[test]
    fn what_a_rule_grants_its_filter_takes(
        filter in filters(), document in documents(), cut: prop::sample::Index,
    ) {
        let Ok(rule) = filter.compile_rule() else { return Ok(()) };
        let value = document.encode();
        for value in [&value[..], &value[..cut.index(value.len() + 1)]] {
            if rule.grants(&key(), value) {
                prop_assert!(filter.compile().unwrap().matches(&key(), value));
            }
        }
    }
}
