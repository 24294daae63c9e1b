//! The settings of the server: one table of names, units, defaults and bounds, from which the
//! checks, the help and the book's table follow. Reads no file and no environment itself.

mod ack_levels;
mod load;
mod settings;
mod table;

pub use ack_levels::AckLevels;
pub use load::Layers;
pub use settings::{Secret, Settings};
pub use table::{SETTINGS, Setting, markdown};
