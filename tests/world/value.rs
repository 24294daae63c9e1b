//! Entries as an application has them.

use serde::{Deserialize, Serialize};

/// A document of about 110 bytes as JSON.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Customer {
    pub(crate) id: u32,
    pub(crate) name: String,
    pub(crate) city: String,
    pub(crate) credit: u32,
    pub(crate) active: bool,
    pub(crate) tags: Vec<String>,
}

const CITIES: [&str; 5] = [
    "Wellington",
    "Montevideo",
    "Ljubljana",
    "Nairobi",
    "Reykjavik",
];

/// The customer with this number; another `edition` is another version of the document.
pub(crate) fn customer(id: u32, edition: u32) -> Customer {
    let city = CITIES[id as usize % CITIES.len()];
    Customer {
        id,
        name: format!("Customer {id:06} & Sons"),
        city: city.to_owned(),
        credit: id.wrapping_mul(2_654_435_761).wrapping_add(edition) % 1_000_000,
        active: (id + edition).is_multiple_of(2),
        tags: vec!["retail".to_owned(), format!("v{edition}")],
    }
}
