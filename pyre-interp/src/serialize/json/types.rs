//! How to encode what is no built-in type.
//!
//! Nothing is imported for this: an object of a type can only exist where its module has been
//! imported, so the base types are looked up in `sys.modules`, once for each type of object that
//! turns up. The answers are remembered for a few types.

use pyre_ffi::{
    Any, Attached, Dict, Guarded, Held, Names, Object, Owned, Raised, Str, Tuple, Type, import,
};

/// Types remembered; most programs return fewer.
const TYPES_KNOWN_MAX: usize = 16;

/// How objects of a type become JSON.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Shape {
    /// Iterated, as an array.
    Items,
    /// `items()`, as an object.
    Mapping,
    /// The value of an enumeration's member.
    EnumValue,
    /// `isoformat()`.
    IsoFormat,
    /// `str()`.
    Text,
    /// `model_dump(mode="json")`, as pydantic's models have it.
    Model,
    /// The fields of a dataclass, as an object.
    Dataclass,
    /// Not at all, but for the user's hook.
    Unknown,
}

/// What objects of a type become, by base type, in the order of precedence.
const BASES: [(&str, &str, Shape); 9] = [
    ("builtins", "set", Shape::Items),
    ("builtins", "frozenset", Shape::Items),
    ("_collections_abc", "generator", Shape::Items),
    ("_collections", "deque", Shape::Items),
    ("enum", "Enum", Shape::EnumValue),
    // A datetime is a date.
    ("datetime", "date", Shape::IsoFormat),
    ("datetime", "time", Shape::IsoFormat),
    ("uuid", "UUID", Shape::Text),
    ("decimal", "Decimal", Shape::Text),
];

/// What encoding remembers in one interpreter. Its lanes share it.
pub struct EncodeCache {
    pub(super) names: Names<NAME_COUNT>,
    /// `("mode",)`
    pub(super) model_keywords: Held<Tuple>,
    known: Guarded<Known>,
}

/// Indices into `EncodeCache::names`.
#[derive(Clone, Copy)]
pub(super) enum Attribute {
    Value,
    Isoformat,
    ModelDump,
    Json,
    DataclassFields,
    Name,
    Items,
    AddNote,
}

const NAME_COUNT: usize = 8;

const NAMES: [&str; NAME_COUNT] = [
    "value",
    "isoformat",
    "model_dump",
    "json",
    "__dataclass_fields__",
    "name",
    "items",
    "add_note",
];

#[derive(Default)]
struct Known {
    entries: Vec<Entry>,
    /// Which entry makes room when there are `TYPES_KNOWN_MAX`.
    next: usize,
}

struct Entry {
    class: Held<Type>,
    shape: Shape,
    /// The names of a dataclass's fields.
    fields: Option<Held<Tuple>>,
}

impl EncodeCache {
    /// Prepares encoding in the interpreter that `py` shows.
    ///
    /// # Errors
    /// If memory runs out.
    pub fn new(py: Attached<'_>) -> Result<EncodeCache, Raised> {
        let mode = Str::intern(py, "mode")?;
        Ok(EncodeCache {
            names: Names::intern(py, NAMES)?,
            model_keywords: Held::new(py, Tuple::new(py, [mode.into_any()])?),
            known: Guarded::new(py, Known::default()),
        })
    }

    /// What becomes of `object`, and the names of its fields if it is a dataclass.
    pub(super) fn shape<'py>(
        &self,
        py: Attached<'py>,
        object: &Object<Any>,
    ) -> Result<(Shape, Option<Owned<'py, Tuple>>), Raised> {
        let class = object.class(py);
        let known = self.known.with(py, |known| {
            let entry = known.entries.iter().find(|entry| entry.class.bind(py).is(&class))?;
            Some((entry.shape, entry.fields.as_ref().map(|fields| fields.to_owned(py))))
        });
        if let Some(known) = known {
            return Ok(known);
        }
        let (shape, fields) = self.classify(py, &class)?;
        let entry = Entry {
            class: Held::new(py, class),
            shape,
            fields: fields.as_ref().map(|fields| Held::new(py, fields.clone())),
        };
        // Dropping what was replaced may run Python code: not before the guard is left.
        let replaced = self.known.with(py, |known| known.remember(entry));
        drop(replaced);
        Ok((shape, fields))
    }

    fn classify<'py>(
        &self,
        py: Attached<'py>,
        class: &Object<Type>,
    ) -> Result<(Shape, Option<Owned<'py, Tuple>>), Raised> {
        for (module, name, shape) in BASES {
            if let Some(base) = loaded(py, module, name)?
                && class.is_subclass(&base, py)?
            {
                return Ok((shape, None));
            }
        }
        if class.attr_if_any(&self.names.at(Attribute::ModelDump as usize, py), py)?.is_some() {
            return Ok((Shape::Model, None));
        }
        if class.attr_if_any(&self.names.at(Attribute::DataclassFields as usize, py), py)?.is_some()
            && let Some(fields) = loaded(py, "dataclasses", "fields")?
        {
            let mut names = Vec::new();
            for field in fields.call1(class, py)?.iterate(py)? {
                names.push(field?.attr(&self.names.at(Attribute::Name as usize, py), py)?);
            }
            return Ok((Shape::Dataclass, Some(Tuple::from_tail(py, &mut names, 0)?)));
        }
        if let Some(base) = loaded(py, "_collections_abc", "Mapping")?
            && class.is_subclass(&base, py)?
        {
            return Ok((Shape::Mapping, None));
        }
        Ok((Shape::Unknown, None))
    }
}

impl Known {
    /// Keeps an entry, and returns the one it takes the place of.
    fn remember(&mut self, entry: Entry) -> Option<Entry> {
        if self.entries.len() < TYPES_KNOWN_MAX {
            self.entries.push(entry);
            return None;
        }
        let place = self.next;
        self.next = (place + 1) % TYPES_KNOWN_MAX;
        Some(std::mem::replace(&mut self.entries[place], entry))
    }
}

/// The attribute of a module that has been imported already.
fn loaded<'py>(py: Attached<'py>, module: &str, name: &str) -> Result<Option<Owned<'py>>, Raised> {
    let [modules_name, module, name] = ["modules", module, name].map(|text| Str::intern(py, text));
    let modules = import(py, "sys")?.attr(modules_name?.as_ref(), py)?;
    let Some(modules) = modules.cast::<Dict>() else { return Ok(None) };
    let Some(module) = modules.get(module?.as_ref(), py)? else { return Ok(None) };
    module.attr_if_any(name?.as_ref(), py)
}
