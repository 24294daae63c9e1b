//! The program `grid-server` is told to end while clients write.

#[cfg(test)]
mod client;
#[cfg(test)]
mod midst;
