//! Print records (`KStream.print`).

use std::fmt::{Debug, Formatter, Result as FmtResult};
use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};

use kstreams_core::flow::Next;
use kstreams_core::processor::Data;
use kstreams_core::record::Record;

use crate::KStream;

/// Where and how records are printed (`Printed`).
pub struct Printed {
    label: Option<String>,
    out: Arc<Mutex<dyn Write + Send>>,
}

impl Printed {
    /// To the standard output.
    pub fn to_stdout() -> Self {
        Self::to(io::stdout())
    }

    /// To a file or anything else that takes bytes.
    pub fn to(out: impl Write + Send + 'static) -> Self {
        Self { label: None, out: Arc::new(Mutex::new(out)) }
    }

    /// What stands in front of each record; else the name of the operator that made the stream.
    #[must_use]
    pub fn label(mut self, label: &str) -> Self {
        self.label = Some(label.to_owned());
        self
    }
}

impl Debug for Printed {
    fn fmt(&self, f: &mut Formatter<'_>) -> FmtResult {
        f.debug_struct("Printed").field("label", &self.label).finish_non_exhaustive()
    }
}

impl<K: Data + Debug, V: Data + Debug> KStream<K, V> {
    /// Prints each record as `[label]: key, value`; nothing comes behind it.
    ///
    /// ```
    /// use kstreams_dsl::{Printed, StreamsBuilder};
    ///
    /// let builder = StreamsBuilder::new();
    /// builder.stream::<String, i64>("in").print(Printed::to_stdout().label("in"));
    /// # builder.build()?;
    /// # Ok::<(), kstreams_dsl::BuildErrors>(())
    /// ```
    ///
    /// # Differs from Kafka Streams
    /// Keys and values are printed as `Debug` does. What cannot be written goes to the processing
    /// handler.
    pub fn print(&self, how: Printed) {
        let of = self.plan.borrow().name(self.node);
        let label: Arc<str> = how.label.map_or(of, Into::into);
        let out = how.out;
        self.stage("KSTREAM-PRINTER-", move || {
            let (label, out) = (Arc::clone(&label), Arc::clone(&out));
            move |record: Record<K, V>, _: &mut Next<'_, '_, (), ()>| {
                let mut out = out.lock().unwrap_or_else(PoisonError::into_inner);
                writeln!(out, "[{label}]: {:?}, {:?}", record.key, record.value)?;
                Ok(())
            }
        });
    }
}
