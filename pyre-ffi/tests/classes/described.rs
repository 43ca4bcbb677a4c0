//! Classes and a module described in Rust, for the tests.

use super::*;

/// How many `Thing`s were dropped, in all interpreters.
pub(super) static DROPPED: AtomicUsize = AtomicUsize::new(0);

/// A class with everything.
pub(super) struct Thing {
    label: RefCell<String>,
    count: Cell<i64>,
    other: Slot,
    fixed: Held<Str>,
    bytes: Box<[u8]>,
}

impl Thing {
    fn make(
        py: Attached<'_>,
        arguments: Arguments<'_>,
        class: &Object<Type>,
    ) -> Result<Thing, Raised> {
        const SIGNATURE: Signature<3> = Signature {
            function: "Thing",
            names: ["label", "count", "other"],
            required: 1,
            positional_max: 2,
        };
        let [label, count, other] = arguments.parse(&SIGNATURE, py)?;
        let Some(label) = label.as_ref().and_then(|label| label.cast::<Str>()) else {
            return Err(Raised::type_error(py, "label must be a str"));
        };
        let count = count.as_ref().and_then(|count| count.cast::<Int>()?.as_i64()).unwrap_or(0);
        let state = class.state::<Testing>(py)?;
        Ok(Thing {
            label: RefCell::new(label.as_utf8(py)?.to_owned()),
            count: Cell::new(count),
            other: other.map_or(Slot::empty(), |other| Slot::new(py, other.to_owned(py))),
            fixed: Held::new(py, state.names.at(0, py).to_owned(py)),
            bytes: Box::from(&b"seen from outside"[..]),
        })
    }

    fn label<'py>(&self, py: Attached<'py>) -> Result<Owned<'py>, Raised> {
        Ok(Str::new(py, &self.label.borrow())?.into_any())
    }

    fn set_label(&self, py: Attached<'_>, value: &Object) -> Result<(), Raised> {
        let Some(text) = value.cast::<Str>() else {
            return Err(Raised::type_error(py, "label must be a str"));
        };
        *self.label.borrow_mut() = text.as_utf8(py)?.to_owned();
        Ok(())
    }

    fn fixed<'py>(&self, py: Attached<'py>) -> Result<Owned<'py>, Raised> {
        Ok(self.fixed.bind(py).to_owned(py).into_any())
    }

    fn other<'py>(&self, py: Attached<'py>) -> Result<Owned<'py>, Raised> {
        self.other.get_or_make(py, || Ok(none(py)))
    }

    fn set_other(&self, py: Attached<'_>, value: &Object) -> Result<(), Raised> {
        self.other.set(py, value.to_owned(py));
        Ok(())
    }

    fn bump<'py>(&self, py: Attached<'py>) -> Result<Owned<'py>, Raised> {
        self.count.set(self.count.get() + 1);
        Ok(Int::new(py, self.count.get())?.into_any())
    }

    fn call<'py>(&self, py: Attached<'py>, arguments: Arguments<'_>) -> Result<Owned<'py>, Raised> {
        let Some((function, rest)) = arguments.positional().split_first() else {
            return Err(Raised::type_error(py, "call() needs a function"));
        };
        function.call(rest, py)
    }

    fn panics<'py>(&self, _: Attached<'py>) -> Result<Owned<'py>, Raised> {
        panic!("the label is {}", self.label.borrow())
    }

    fn lies<'py>(&self, py: Attached<'py>) -> Result<Owned<'py>, Raised> {
        let raised = Raised::value_error(py, "taken before it was returned");
        let _second = Raised::value_error(py, "clears what the first one stands for");
        Err(raised)
    }

    fn key(py: Attached<'_>, key: &Object) -> Result<i64, Raised> {
        match key.cast::<Int>().and_then(Object::<Int>::as_i64) {
            Some(key @ 0..10) => Ok(key),
            Some(_) => Err(Raised::with(py, &ExceptionKind::KeyError.object(py), key)),
            None => Err(Raised::type_error(py, "keys are int")),
        }
    }
}

impl Drop for Thing {
    fn drop(&mut self) {
        DROPPED.fetch_add(1, Ordering::Relaxed);
    }
}

impl Class for Thing {
    const NAME: &'static CStr = c"testing.Thing";
    const DOC: &'static CStr = c"A thing.";

    fn describe(spec: &mut ClassSpec<Thing>) {
        spec.property(c"label", c"The label.", Thing::label, Thing::set_label)
            .property(c"other", c"", Thing::other, Thing::set_other)
            .bound_property(
                c"home",
                c"",
                |this, py| Ok(this.module(py)?.into_any()),
                Thing::set_other,
            )
            .getter(c"fixed", c"", Thing::fixed)
            .getter(c"broken", c"", Thing::panics)
            .method0(c"bump", c"bump($self, /)\n--\n\nCount one.", Thing::bump)
            .method0(c"panics", c"", Thing::panics)
            .method0(c"lies", c"", Thing::lies)
            .method(c"call", c"", Thing::call)
            .bound_method(c"itself", c"", |this, py, _| Ok(this.to_owned(py).into_any()))
            .class_method(c"passed", c"", |py, given| {
                let Some(function) = given.positional().first() else { return Ok(none(py)) };
                given.behind(1).pass_on(function, &[*function], py)
            })
            .bound_method(c"twin", c"", |this, py, _| {
                let state = this.state::<Testing>(py)?;
                let twin = Thing {
                    label: this.label.clone(),
                    count: this.count.clone(),
                    other: Slot::empty(),
                    fixed: Held::new(py, this.fixed.to_owned(py)),
                    bytes: this.bytes.clone(),
                };
                Ok(Instance::new(py, &state.thing, twin)?.into_any())
            })
            .constructor(Thing::make)
            .repr(|this, py| Str::new(py, &format!("<Thing {}>", this.label.borrow())))
            .equals(|this, _, other| {
                Ok(other.cast::<Int>().map(|other| other.as_i64() == Some(this.count.get())))
            })
            .length(|this, _| Ok(usize::try_from(this.count.get()).unwrap_or(0)))
            .item(|this, py, key| {
                Ok(Int::new(py, Thing::key(py, key)? + this.count.get())?.into_any())
            })
            .assign_item(|this, py, key, value| {
                let key = Thing::key(py, key)?;
                let delta = value.and_then(|value| value.cast::<Int>()?.as_i64()).unwrap_or(-1000);
                this.count.set(key + delta);
                Ok(())
            })
            .contains(|_, py, key| Ok(Thing::key(py, key).map(|_| true).unwrap_or(false)))
            .iterate(|_, py| import(py, "testing")?.attr(&*Str::new(py, "counter")?, py)?.call0(py))
            .buffer(|this| &this.bytes)
            .gc();
    }

    fn traverse(&self, visitor: &mut Visitor<'_>) {
        visitor.slot(&self.other);
        visitor.held(&self.fixed);
    }

    fn clear(&self, py: Attached<'_>) {
        self.other.clear(py);
    }
}

/// An iterator from 3 down, that Python code cannot make by itself, without garbage collection.
pub(super) struct Counter(pub(super) Cell<i64>);

impl Class for Counter {
    const NAME: &'static CStr = c"testing.Counter";
    const DOC: &'static CStr = c"";

    fn describe(spec: &mut ClassSpec<Counter>) {
        spec.next(|this, py| {
            let left = this.0.replace(this.0.get() - 1);
            if left > 0 { Ok(Some(Int::new(py, left)?.into_any())) } else { Ok(None) }
        });
    }
}

/// A class whose drop panics.
pub(super) struct Grenade;

impl Class for Grenade {
    const NAME: &'static CStr = c"testing.Grenade";
    const DOC: &'static CStr = c"";

    fn describe(spec: &mut ClassSpec<Grenade>) {
        spec.constructor(|_, _, _| Ok(Grenade));
    }
}

impl Drop for Grenade {
    fn drop(&mut self) {
        panic!("dropped a grenade");
    }
}

pub(super) struct Testing;

pub(super) struct TestingState {
    pub(super) thing: ClassHandle<Thing>,
    pub(super) counter: ClassHandle<Counter>,
    pub(super) names: Names<1>,
    pub(super) kept: Slot,
    pub(super) spare: RefCell<Option<ClassHandle<Counter>>>,
}

impl ModuleState for TestingState {
    fn traverse(&self, visitor: &mut Visitor<'_>) {
        self.thing.visit(visitor);
        self.counter.visit(visitor);
        visitor.slot(&self.kept);
        if let Some(spare) = &*self.spare.borrow() {
            spare.visit(visitor);
        }
    }

    fn clear(&self, py: Attached<'_>) {
        self.kept.clear(py);
    }
}

impl Module for Testing {
    const NAME: &'static CStr = c"testing";
    const DOC: &'static CStr = c"What the tests use.";
    type State = TestingState;

    fn definition() -> &'static ModuleDefinition<Testing> {
        static DEFINITION: ModuleDefinition<Testing> = ModuleDefinition::new();
        &DEFINITION
    }

    fn execute<'py>(
        module: &ModuleBuilder<'py>,
        py: Attached<'py>,
    ) -> Result<TestingState, Raised> {
        module.class::<Grenade>()?;
        module.exception(
            c"testing.Failure",
            c"It failed.",
            &ExceptionKind::ValueError.object(py),
        )?;
        module.add(c"answer", &*Int::new(py, 42)?)?;
        module.function(c"counter", c"counter()\n--\n\nCount down.", |module, py, _| {
            let state = module.state::<Testing>(py)?;
            Ok(Instance::new(py, &state.counter, Counter(Cell::new(3)))?.into_any())
        })?;
        module.function(c"keep", c"", |module, py, arguments| {
            let state = module.state::<Testing>(py)?;
            state.kept.set(py, arguments.positional()[0].to_owned(py));
            Ok(none(py))
        })?;
        module.function(c"is_thing", c"", |module, py, arguments| {
            let state = module.state::<Testing>(py)?;
            let thing = state.thing.cast(&arguments.positional()[0], py);
            Ok(pyre_ffi::Bool::new(py, thing.is_some_and(|thing| thing.count.get() >= 0))
                .into_any())
        })?;
        Ok(TestingState {
            thing: module.class()?,
            counter: module.hidden_class()?,
            names: Names::intern(py, ["label"])?,
            kept: Slot::empty(),
            spare: RefCell::new(Some(module.hidden_class()?)),
        })
    }
}
