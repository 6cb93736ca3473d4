//! Why there is no result, as all of this crate's functions tell C.

use crate::bounded::Stopped;

pub enum Failure {
    /// A template called `raise_exception` with this message.
    Refused(String),
    /// Too large, too many steps, too much output, memory or time.
    Limit(String),
    /// The system has no memory or no thread just now.
    Exhausted(String),
    /// It does not compile, or does not fit what it was given.
    Failed(String),
}

impl Failure {
    pub fn of(why: Stopped, engine: &str) -> Self {
        match why {
            Stopped::Memory => Failure::Limit("it takes too much memory".into()),
            Stopped::Time | Stopped::Runaway => Failure::Limit("it takes too much time".into()),
            Stopped::NoThread => {
                Failure::Exhausted("the system has no thread or no memory for its stack".into())
            }
            Stopped::Panic => Failure::Failed(format!("panic in {engine}")),
        }
    }

    pub fn text(self) -> String {
        match self {
            Failure::Refused(text)
            | Failure::Limit(text)
            | Failure::Exhausted(text)
            | Failure::Failed(text) => text,
        }
    }
}
