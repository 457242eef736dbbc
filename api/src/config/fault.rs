//! What is wrong with a configuration, said once and completely.

use std::fmt;

/// One thing that is wrong, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Which variable.
    pub variable: String,
    /// What is wrong with it. Never holds a secret's text.
    pub wrong: String,
    /// What to write instead.
    pub mend: String,
}

/// Everything that is wrong, in the order of the table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Faults(Vec<Fault>);

impl Faults {
    pub(super) fn add(
        &mut self,
        variable: &str,
        wrong: impl Into<String>,
        mend: impl Into<String>,
    ) {
        self.0.push(Fault {
            variable: variable.to_owned(),
            wrong: wrong.into(),
            mend: mend.into(),
        });
    }

    /// Each fault.
    pub fn iter(&self) -> impl Iterator<Item = &Fault> {
        self.0.iter()
    }

    /// Whether nothing is wrong.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.0.len();
        let noun = if count == 1 { "fault" } else { "faults" };
        write!(f, "the configuration has {count} {noun}:")?;
        for fault in &self.0 {
            write!(
                f,
                "\n  {}: {}\n      {}",
                fault.variable, fault.wrong, fault.mend
            )?;
        }
        Ok(())
    }
}

impl std::error::Error for Faults {}
