//! Policies of bounded work, as plain state machines.
//! Reads no clock and does no I/O: every method takes "now".

pub mod deadline;
pub mod fair_queue;
