//! Says what the output must be.

use super::history::History;

/// Knows what an application must have written, given what it has read.
///
/// Exactly once, what is committed at any moment must be equal to what a sequential interpreter
/// makes of the records that the application is done with ([`History::done`]).
pub trait Oracle: Send {
    /// Called again and again while the application runs.
    ///
    /// # Errors
    /// What does not hold, in words.
    fn look(&mut self, history: &History) -> Result<(), String>;

    /// True once the application has nothing more to do. That all input is consumed is known
    /// without it; an application that writes by the clock says here when it is done.
    fn is_settled(&mut self, _history: &History) -> bool {
        true
    }

    /// Called once, when the faults have ended and everything is consumed.
    ///
    /// # Errors
    /// What does not hold, in words.
    fn finish(&mut self, history: &History) -> Result<(), String> {
        self.look(history)
    }
}
