//! Part a stream in branches (`KStream.split`, `BranchedKStream`).

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::rc::Rc;
use std::sync::Arc;

use kstreams_core::context::{Child, Context, Init};
use kstreams_core::error::Result;
use kstreams_core::flow::Next;
use kstreams_core::processor::{Data, Processor};
use kstreams_core::record::Record;

use crate::KStream;
use crate::plan::{Kind, NodeId};

impl<K: Data, V: Data> KStream<K, V> {
    /// Parts the stream: each record goes to the first branch whose predicate holds.
    ///
    /// ```
    /// use kstreams_dsl::StreamsBuilder;
    /// # use kstreams_core::serde::{I64, Utf8};
    /// # use kstreams_runtime::{Config, testing::TestDriver};
    ///
    /// let builder = StreamsBuilder::new();
    /// let branches = builder
    ///     .stream::<String, i64>("amounts")
    ///     .split("by-size-")
    ///     .branch("large", |_, amount| *amount >= 1000)
    ///     .branch("small", |_, amount| *amount > 0)
    ///     .default_branch("other");
    /// branches["large"].to("large");
    /// branches["small"].to("small");
    /// branches["other"].to("other");
    /// # let mut driver = TestDriver::new(builder.build()?, Config::new("test"))?;
    /// # for amount in [5000, 7, -1] {
    /// #     driver.input("amounts", Utf8, I64).pipe("k".into(), amount)?;
    /// # }
    /// # assert_eq!(driver.output("large", Utf8, I64).read_values()?, [5000]);
    /// # assert_eq!(driver.output("small", Utf8, I64).read_values()?, [7]);
    /// # assert_eq!(driver.output("other", Utf8, I64).read_values()?, [-1]);
    /// # Ok::<(), kstreams_core::Error>(())
    /// ```
    ///
    /// The prefix is the name of the splitting node, and of each branch's node with the branch's
    /// name behind it; empty, it is generated from the position, as in Kafka Streams.
    pub fn split(&self, prefix: &str) -> Split<K, V> {
        let arms = Rc::new(RefCell::new(Arms::default()));
        let all = Rc::clone(&arms);
        let mut plan = self.plan.borrow_mut();
        let given = (!prefix.is_empty()).then_some(prefix);
        let name = plan.name_or(given, "KSTREAM-BRANCH-");
        let node = plan.add(Arc::clone(&name), &[self.node], move |to, at| {
            let Arms { predicates, children } = all.take();
            let names: Vec<Arc<str>> = children.iter().map(|child| to.name(*child)).collect();
            to.processor(&at.name, &at.parents, &[], move || Splitter {
                predicates: predicates.clone(),
                names: names.clone(),
                children: Vec::new(),
                default: None,
            });
        });
        plan.node(node).kind = Kind::Same;
        drop(plan);
        Split { from: self.clone(), node, name, arms, branches: Branches::default() }
    }
}

type Predicate<K, V> = Arc<dyn Fn(&K, &V) -> bool + Send + Sync>;

/// The branches planned so far; a default branch comes last among the children.
struct Arms<K, V> {
    predicates: Vec<Predicate<K, V>>,
    children: Vec<NodeId>,
}

impl<K, V> Default for Arms<K, V> {
    fn default() -> Self {
        Self { predicates: Vec::new(), children: Vec::new() }
    }
}

/// A stream that is being parted; see [`KStream::split`].
pub struct Split<K, V> {
    from: KStream<K, V>,
    node: NodeId,
    name: Arc<str>,
    arms: Rc<RefCell<Arms<K, V>>>,
    branches: Branches<K, V>,
}

/// The branches of a stream by their names.
pub type Branches<K, V> = BTreeMap<String, KStream<K, V>>;

impl<K: Data, V: Data> Split<K, V> {
    /// A branch for the records of which no earlier branch has taken hold and `predicate` is true.
    #[must_use]
    pub fn branch(
        mut self,
        name: &str,
        predicate: impl Fn(&K, &V) -> bool + Send + Sync + 'static,
    ) -> Self {
        self.arms.borrow_mut().predicates.push(Arc::new(predicate));
        self.add(name);
        self
    }

    /// A branch for all records that no branch has taken.
    pub fn default_branch(mut self, name: &str) -> Branches<K, V> {
        self.add(name);
        self.branches
    }

    /// Records that no branch has taken are dropped.
    pub fn no_default_branch(self) -> Branches<K, V> {
        self.branches
    }

    fn add(&mut self, name: &str) {
        let child = format!("{}{name}", self.name);
        let mut plan = self.from.plan.borrow_mut();
        let child = plan.name_or(Some(&child), &child);
        let node = plan.add(child, &[self.node], |to, at| {
            to.stage(at, || {
                |record: Record<K, V>, next: &mut Next<'_, '_, K, V>| next.pass(record)
            });
        });
        drop(plan);
        self.arms.borrow_mut().children.push(node);
        let (key, value) = (self.from.key.clone(), self.from.value.clone());
        self.branches.insert(name.to_owned(), self.from.behind(node, Kind::Same, key, value));
    }
}

impl<K, V> fmt::Debug for Split<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Split({})", self.name)
    }
}

struct Splitter<K, V> {
    predicates: Vec<Predicate<K, V>>,
    names: Vec<Arc<str>>,
    children: Vec<Child<K, V>>,
    default: Option<Child<K, V>>,
}

impl<K: Data, V: Data> Processor<K, V, K, V> for Splitter<K, V> {
    fn init(&mut self, ctx: &mut Init<'_, Self, K, V>) -> Result {
        let children: Result<Vec<_>> = self.names.iter().map(|name| ctx.child(name)).collect();
        self.children = children?;
        self.default = self.children.get(self.predicates.len()).copied();
        Ok(())
    }

    fn process(&mut self, ctx: &mut Context<'_, K, V>, record: Record<K, V>) -> Result {
        let taken = self.predicates.iter().position(|holds| holds(&record.key, &record.value));
        match taken.map_or(self.default, |index| self.children.get(index).copied()) {
            Some(child) => ctx.forward_to(child, record),
            None => Ok(()),
        }
    }
}
