//! `grid-server` with one more layer: `audit-log --layers audit-log:audit.txt`.

fn main() -> std::process::ExitCode {
    grid_server::program::run(&[&audit_log::DRIVER])
}
