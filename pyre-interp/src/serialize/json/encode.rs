//! Built-in types, and the walk.
//! Hot path.
//!
//! Items are counted while they are encoded, and lists and dicts are read item by item with their
//! length as it is then: hooks, generators and properties may run any Python code on the way, also
//! code that changes what is being encoded.

use pyre_ffi::{
    Any, Attached, Borrowed, Dict, Float, Int, List, Object, Owned, Raised, Str, Tuple,
};

use super::decimal;
use super::failure::{Failure, Problem};
use super::level::Level;
use super::sink::Sink;
use super::text::{write_name, write_text};
pub use super::types::EncodeCache;
use super::types::{Attribute, Shape};

/// Appends `value` as JSON to `out`.
///
/// `default` is called with what has no JSON of its own, and what it returns is encoded instead.
///
/// # Errors
/// `TypeError` for what cannot be encoded and `ValueError` for cycles, nesting deeper than
/// [`DEPTH_MAX`](super::DEPTH_MAX) and numbers that are not finite, each with the place in the message; what a hook
/// raises gets the place as a note. `out` is then as it was.
pub fn encode(
    py: Attached<'_>,
    value: &Object<Any>,
    out: &mut Vec<u8>,
    cache: &EncodeCache,
    default: Option<&Object<Any>>,
) -> Result<(), Raised> {
    let start = out.len();
    let mut encoder = Encoder { py, out: Sink::new(out), cache, default };
    encoder.value(value, None).map_err(|failure| {
        encoder.out.rewind(start);
        failure.raise(py, cache)
    })
}

struct Encoder<'a, 'py> {
    py: Attached<'py>,
    out: Sink<'a>,
    cache: &'a EncodeCache,
    default: Option<&'a Object<Any>>,
}

impl<'py> Encoder<'_, 'py> {
    /// Any value. Only containers, and what is not built in, cost a call.
    #[inline(always)]
    fn value(&mut self, value: &Object<Any>, around: Option<&Level<'_>>) -> Result<(), Failure> {
        if let Some(text) = value.cast_exact::<Str>() {
            write_text(text, &mut self.out);
        } else if let Some(number) = value.cast_exact::<Int>() {
            return self.int(number);
        } else if let Some(dict) = value.cast_exact::<Dict>() {
            return self.dict(dict, around);
        } else if let Some(list) = value.cast_exact::<List>() {
            return self.list(list, around);
        } else if let Some(truth) = value.as_bool() {
            self.truth(truth);
        } else if value.is_none() {
            self.out.append_array(b"null");
        } else if let Some(number) = value.cast_exact::<Float>() {
            return self.float(number.as_f64());
        } else {
            return self.other(value, around);
        }
        Ok(())
    }

    /// As `value`, where a call more does not matter.
    #[inline(never)]
    fn inner(&mut self, value: &Object<Any>, around: &Level<'_>) -> Result<(), Failure> {
        self.value(value, Some(around))
    }

    #[inline(never)]
    fn dict(&mut self, dict: &Object<Dict>, around: Option<&Level<'_>>) -> Result<(), Failure> {
        let level = Level::enter(dict.as_any(), around)?;
        let mut before = b'{';
        for item in dict.items(self.py) {
            let (key, value) = item?;
            let name_start = self.key(before, &key)?;
            before = b',';
            let name_end = self.out.end() - 1;
            if let Err(failure) = self.value(&value, Some(&level)) {
                return Err(failure.under_name(self.out.written(name_start..name_end)));
            }
        }
        self.close(before, b'{', b'}');
        Ok(())
    }

    #[inline(never)]
    fn list(&mut self, list: &Object<List>, around: Option<&Level<'_>>) -> Result<(), Failure> {
        let level = Level::enter(list.as_any(), around)?;
        let mut before = b'[';
        let mut index = 0;
        while let Some(item) = list.get(index, self.py) {
            self.out.push(before);
            before = b',';
            self.value(&item, Some(&level)).map_err(|failure| failure.under_index(index))?;
            index += 1;
        }
        self.close(before, b'[', b']');
        Ok(())
    }

    #[inline(never)]
    fn tuple(&mut self, tuple: &Object<Tuple>, around: Option<&Level<'_>>) -> Result<(), Failure> {
        let level = Level::enter(tuple.as_any(), around)?;
        let mut before = b'[';
        for (index, item) in tuple.items().iter().enumerate() {
            self.out.push(before);
            before = b',';
            self.inner(item, &level).map_err(|failure| failure.under_index(index))?;
        }
        self.close(before, b'[', b']');
        Ok(())
    }

    /// What `object.items()` yields, as an object.
    fn mapping(&mut self, object: &Object<Any>, level: &Level<'_>) -> Result<(), Failure> {
        let items = object.call_method0(&self.name(Attribute::Items), self.py)?;
        let mut before = b'{';
        for item in items.iterate(self.py)? {
            let item = item?;
            let Some([key, value]) = item.cast::<Tuple>().map(Object::<Tuple>::items) else {
                let message = "items() of a mapping must yield pairs";
                return Err(Raised::type_error(self.py, message).into());
            };
            self.member(before, key, value, level)?;
            before = b',';
        }
        self.close(before, b'{', b'}');
        Ok(())
    }

    fn dataclass(
        &mut self,
        object: &Object<Any>,
        fields: &Object<Tuple>,
        level: &Level<'_>,
    ) -> Result<(), Failure> {
        let mut before = b'{';
        for name in fields.items() {
            let Some(attribute) = name.cast::<Str>() else {
                let message = "names of fields must be str";
                return Err(Raised::type_error(self.py, message).into());
            };
            let value = object.attr(attribute, self.py)?;
            self.member(before, name, &value, level)?;
            before = b',';
        }
        self.close(before, b'{', b'}');
        Ok(())
    }

    /// A name, a colon and a value.
    fn member(
        &mut self,
        before: u8,
        key: &Object<Any>,
        value: &Object<Any>,
        level: &Level<'_>,
    ) -> Result<(), Failure> {
        let name_start = self.key(before, key)?;
        let name_end = self.out.end() - 1;
        self.inner(value, level)
            .map_err(|failure| failure.under_name(self.out.written(name_start..name_end)))
    }

    /// The byte before a name, the name and a colon; says where the name begins.
    #[inline(always)]
    fn key(&mut self, before: u8, key: &Object<Any>) -> Result<usize, Failure> {
        let name_start = self.out.end() + 1;
        match key.cast_exact::<Str>() {
            Some(text) => write_name(before, text, &mut self.out),
            None => {
                self.out.push(before);
                self.difficult_key(key)?;
                self.out.push(b':');
            }
        }
        Ok(name_start)
    }

    /// A key that is no plain `str`, by the rules of `json.dumps`.
    #[inline(never)]
    fn difficult_key(&mut self, key: &Object<Any>) -> Result<(), Failure> {
        if let Some(text) = key.cast::<Str>() {
            write_text(text, &mut self.out);
            return Ok(());
        }
        self.out.push(b'"');
        if let Some(truth) = key.as_bool() {
            self.truth(truth);
        } else if key.is_none() {
            self.out.append_array(b"null");
        } else if let Some(number) = key.cast::<Int>() {
            self.int(number)?;
        } else if let Some(number) = key.cast::<Float>() {
            // As Python writes it: the client looks the name up as text.
            let number = number.as_f64();
            if !number.is_finite() {
                return Err(Problem::NotFinite(number).into());
            }
            let text = Float::new(self.py, number)?.repr(self.py)?;
            self.out.append(text.as_utf8(self.py)?.as_bytes());
        } else {
            return Err(Problem::KeyType(key.type_name().to_owned()).into());
        }
        self.out.push(b'"');
        Ok(())
    }

    fn iterated(&mut self, object: &Object<Any>, level: &Level<'_>) -> Result<(), Failure> {
        let mut before = b'[';
        for (index, item) in object.iterate(self.py)?.enumerate() {
            let item = item?;
            self.out.push(before);
            before = b',';
            self.inner(&item, level).map_err(|failure| failure.under_index(index))?;
        }
        self.close(before, b'[', b']');
        Ok(())
    }

    /// Writes the closing bracket, and the opening one if no item did.
    #[inline(always)]
    fn close(&mut self, before: u8, opening: u8, closing: u8) {
        if before == opening {
            self.out.push(opening);
        }
        self.out.push(closing);
    }

    fn truth(&mut self, truth: bool) {
        if truth {
            self.out.append_array(b"true");
        } else {
            self.out.append_array(b"false");
        }
    }

    #[inline]
    fn int(&mut self, number: &Object<Int>) -> Result<(), Failure> {
        match number.as_i64() {
            Some(value) => {
                self.out.append(itoa::Buffer::new().format(value).as_bytes());
            }
            None => {
                let digits = number.to_decimal(self.py)?;
                self.out.append(digits.as_utf8(self.py)?.as_bytes());
            }
        }
        Ok(())
    }

    #[inline]
    fn float(&mut self, number: f64) -> Result<(), Failure> {
        if !number.is_finite() {
            return Err(Problem::NotFinite(number).into());
        }
        decimal::write(number, &mut self.out);
        Ok(())
    }

    /// Any other type: what derives from the built-in ones first, as `json.dumps` does.
    #[inline(never)]
    fn other(&mut self, value: &Object<Any>, around: Option<&Level<'_>>) -> Result<(), Failure> {
        if let Some(text) = value.cast::<Str>() {
            write_text(text, &mut self.out);
            return Ok(());
        }
        if let Some(number) = value.cast::<Int>() {
            return self.int(number);
        }
        if let Some(number) = value.cast::<Float>() {
            return self.float(number.as_f64());
        }
        if let Some(tuple) = value.cast::<Tuple>() {
            return self.tuple(tuple, around);
        }
        if let Some(list) = value.cast::<List>() {
            return self.list(list, around);
        }
        if value.is_a::<Dict>() {
            // A class of its own may keep another order, as `OrderedDict` does.
            return self.mapping(value, &Level::enter(value, around)?);
        }
        let (shape, fields) = self.cache.shape(self.py, value)?;
        match (shape, fields) {
            (Shape::IsoFormat, _) => {
                let text = value.call_method0(&self.name(Attribute::Isoformat), self.py)?;
                self.text_of(&text)
            }
            (Shape::Text, _) => {
                write_text(&*value.str(self.py)?, &mut self.out);
                Ok(())
            }
            (shape, fields) => {
                let level = &Level::enter(value, around)?;
                match (shape, fields) {
                    (Shape::Items, _) => self.iterated(value, level),
                    (Shape::Mapping, _) => self.mapping(value, level),
                    (Shape::EnumValue, _) => {
                        let inner = value.attr(&self.name(Attribute::Value), self.py)?;
                        self.inner(&inner, level)
                    }
                    (Shape::Model, _) => {
                        let inner = self.model_dump(value)?;
                        self.inner(&inner, level)
                    }
                    (Shape::Dataclass, Some(fields)) => self.dataclass(value, &fields, level),
                    _ => self.hooked(value, level),
                }
            }
        }
    }

    fn text_of(&mut self, text: &Object<Any>) -> Result<(), Failure> {
        match text.cast::<Str>() {
            Some(text) => write_text(text, &mut self.out),
            None => return Err(Problem::Type(text.type_name().to_owned()).into()),
        }
        Ok(())
    }

    /// `value.model_dump(mode="json")`
    fn model_dump(&mut self, value: &Object<Any>) -> Result<Owned<'py>, Raised> {
        let dump = value.attr(&self.name(Attribute::ModelDump), self.py)?;
        let json = self.name(Attribute::Json).into_any();
        dump.call_with_names(&[json], &self.cache.model_keywords.bind(self.py), self.py)
    }

    /// What the user's hook makes of a value without a rule.
    fn hooked(&mut self, value: &Object<Any>, level: &Level<'_>) -> Result<(), Failure> {
        let Some(default) = self.default else {
            return Err(Problem::Type(value.type_name().to_owned()).into());
        };
        let instead = default.call1(value, self.py)?;
        self.inner(&instead, level)
    }

    fn name(&self, name: Attribute) -> Borrowed<'_, Str> {
        self.cache.names.at(name as usize, self.py)
    }
}
