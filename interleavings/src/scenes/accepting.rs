//! Callers and acceptors of one listener.

use std::sync::Arc;

use shuttle::{future::block_on, thread};

use crate::backlog::Backlog;
use crate::connection::MemoryConnection;

fn call(backlog: &Backlog) -> bool {
    let (_near, far) = MemoryConnection::pair("scene");
    backlog.offer(far)
}

/// Every connection that was taken is accepted, however many accept.
pub fn every_caller_is_accepted() {
    let backlog = Arc::new(Backlog::default());
    let acceptors: Vec<_> = (0..2)
        .map(|_| {
            let backlog = backlog.clone();
            thread::spawn(move || block_on(backlog.next()).is_some())
        })
        .collect();
    for _ in 0..2 {
        assert!(call(&backlog));
    }
    for acceptor in acceptors {
        assert!(acceptor.join().is_ok_and(|accepted| accepted));
    }
}

/// A listener that is closed lets everybody go who waits.
pub fn nobody_waits_at_a_closed_listener() {
    let backlog = Arc::new(Backlog::default());
    let acceptors: Vec<_> = (0..2)
        .map(|_| {
            let backlog = backlog.clone();
            thread::spawn(move || while block_on(backlog.next()).is_some() {})
        })
        .collect();
    let caller = {
        let backlog = backlog.clone();
        thread::spawn(move || call(&backlog))
    };
    backlog.close();
    for acceptor in acceptors {
        assert!(acceptor.join().is_ok());
    }
    assert!(caller.join().is_ok());
    assert!(!call(&backlog), "it is closed");
}
