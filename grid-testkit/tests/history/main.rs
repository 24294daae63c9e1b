//! The history checkers pass what is right and name what is wrong.

mod brute_force;
mod convergence;
mod fixtures;
mod linearizable;
mod outcomes;
mod recording;
mod register_runs;
mod replica_plants;
mod replica_runs;

mod script;
mod sessions;
