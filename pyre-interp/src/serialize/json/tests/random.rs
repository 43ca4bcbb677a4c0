//! Random objects to bytes and back.

use std::cell::RefCell;

use super::*;

#[derive(Clone, Debug)]
enum Value {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
    List(Vec<Value>),
    Dict(Vec<(String, Value)>),
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::Int),
        (-300..300_i64).prop_map(Value::Int),
        any::<f64>().prop_filter("finite", |value| value.is_finite()).prop_map(Value::Float),
        any::<String>().prop_map(Value::Text),
        "[ -~]{0,60}".prop_map(Value::Text),
        "[\\x00-\\x7f]{0,60}".prop_map(Value::Text),
        "[\\x00-ÿ]{0,60}".prop_map(Value::Text),
    ];
    leaf.prop_recursive(4, 40, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::List),
            prop::collection::vec((any::<String>(), inner), 0..8).prop_map(Value::Dict),
        ]
    })
}

impl Value {
    fn object<'py>(&self, py: Attached<'py>, has_floats: &mut bool) -> Owned<'py> {
        match self {
            Value::Null => pyre_ffi::none(py),
            Value::Bool(value) => pyre_ffi::Bool::new(py, *value).into_any(),
            Value::Int(value) => Int::new(py, *value).unwrap().into_any(),
            Value::Float(value) => {
                *has_floats = true;
                pyre_ffi::Float::new(py, *value).unwrap().into_any()
            }
            Value::Text(text) => Str::new(py, text).unwrap().into_any(),
            Value::List(items) => {
                let items = items.iter().map(|item| item.object(py, has_floats)).collect();
                List::from_vec(py, items).unwrap().into_any()
            }
            Value::Dict(items) => {
                let dict = Dict::new(py).unwrap();
                for (key, value) in items {
                    let (key, value) = (Str::new(py, key).unwrap(), value.object(py, has_floats));
                    dict.set(&key, &value, py).unwrap();
                }
                dict.into_any()
            }
        }
    }
}

#[test]
fn agrees_with_the_standard_library_on_random_values() {
    with_python(|python| {
        let keys = RefCell::new(KeyCache::new());
        let config =
            ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() };
        proptest!(config, |(value in value())| {
            let mut has_floats = false;
            let value = value.object(python.py, &mut has_floats);
            python.check_encoding(&value, has_floats)?;
            let ours = python.encode(&value).unwrap();
            let back = python.decode_with(&ours, &mut keys.borrow_mut()).unwrap();
            prop_assert!(python.same(&back, &value));
        });
    });
}

#[test]
fn floats_come_back_to_the_bit() {
    with_python(|python| {
        let config =
            ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() };
        proptest!(config, |(bits: u64)| {
            let value = f64::from_bits(bits);
            prop_assume!(value.is_finite());
            let object = pyre_ffi::Float::new(python.py, value).unwrap().into_any();
            python.check_encoding(&object, true)?;
            let back = python.decode(&python.encode(&object).unwrap()).unwrap();
            prop_assert!(python.same(&back, &object));
        });
    });
}
