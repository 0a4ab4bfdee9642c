//! Policies of bounded work, as plain state machines, and [`upstream`], which makes calls by them.
//! Only `upstream`, `gather` and `bulkhead` wait, and never without a bound; all others read no clock: "now" is an argument.

pub mod backoff;
pub mod breaker;
pub mod bulkhead;
pub mod call;
pub mod config;
pub mod deadline;
pub mod fair_queue;
pub mod gather;
pub mod rate;
pub mod retry_budget;
pub mod spread;
mod trailing;
pub mod upstream;
