//! What the commands need beside the toolchain, and how each is brought onto the machine.

mod airports;
mod apt;
mod cargo_deny;
mod cargo_fuzz;
mod mdbook;
mod node;
mod nx27017;
mod postgres;
mod released;
mod servers;
mod wasm;
mod wheel;

pub(crate) use airports::airports;
pub(crate) use cargo_deny::cargo_deny;
pub(crate) use cargo_fuzz::CargoFuzz;
pub(crate) use mdbook::mdbook;
pub(crate) use node::node;
pub(crate) use nx27017::nx27017;
pub(crate) use postgres::postgres;
pub(crate) use servers::{stop_servers, with_servers};
pub(crate) use wasm::WasmToolchain;
