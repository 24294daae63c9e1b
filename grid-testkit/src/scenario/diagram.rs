//! A run as a sequence diagram: one page of HTML that needs nothing else.
//!
//! What happens becomes rows ([`script`]), rows get their places ([`drawing`]), and the page around
//! them lets a reader choose parties and keys ([`page`]).

mod bands;
mod brief;
mod columns;
mod drawing;
mod flights;
mod markup;
mod page;
mod row;
mod script;

pub use page::render;
