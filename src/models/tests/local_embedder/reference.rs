//! BERT as it is defined, number by number and in double precision: what the embedder's vectors are held to.
#![expect(clippy::indexing_slicing, reason = "sums read as in the definition")]

use crate::tiny::{EPSILON, HEADS, LAYERS, Tiny, WIDE, WIDTH};

type Row = Vec<f64>;

/// A function between the two matrices of a layer's feed-forward part.
pub(crate) type Activation = fn(f64) -> f64;

/// The vector of a text of these tokens.
pub(crate) fn vector(tiny: &Tiny, activation: Activation, tokens: &[usize]) -> Row {
    let model = Reference { tiny, activation };
    let mut states = model.embeddings(tokens);
    for number in 0..LAYERS {
        states = model.layer(&format!("encoder.layer.{number}"), &states);
    }
    let mean: Row = (0..WIDTH).map(|at| states.iter().map(|state| state[at]).sum::<f64>()).collect();
    let length = mean.iter().map(|element| element * element).sum::<f64>().sqrt();
    mean.iter().map(|element| element / length).collect()
}

struct Reference<'model> {
    tiny: &'model Tiny,
    activation: Activation,
}

impl Reference<'_> {
    fn tensor(&self, name: &str) -> Row {
        self.tiny.tensors[name].elements.iter().copied().map(f64::from).collect()
    }

    fn embeddings(&self, tokens: &[usize]) -> Vec<Row> {
        let table = |name| self.tensor(&format!("embeddings.{name}_embeddings.weight"));
        let (words, positions, types) = (table("word"), table("position"), table("token_type"));
        let state = |(position, token): (usize, &usize)| {
            let sum: Row = (0..WIDTH)
                .map(|at| words[token * WIDTH + at] + positions[position * WIDTH + at] + types[at])
                .collect();
            self.norm("embeddings", &sum)
        };
        tokens.iter().enumerate().map(state).collect()
    }

    fn layer(&self, name: &str, states: &[Row]) -> Vec<Row> {
        let attended = self.attention(&format!("{name}.attention"), states);
        let transform = |state: &Row| {
            let wide = self.linear(&format!("{name}.intermediate.dense"), state, WIDE);
            let wide: Row = wide.into_iter().map(self.activation).collect();
            let narrow = self.linear(&format!("{name}.output.dense"), &wide, WIDTH);
            self.norm(&format!("{name}.output"), &plus(state, &narrow))
        };
        attended.iter().map(transform).collect()
    }

    fn attention(&self, name: &str, states: &[Row]) -> Vec<Row> {
        let project = |part: &str| -> Vec<Row> {
            states.iter().map(|state| self.linear(&format!("{name}.self.{part}"), state, WIDTH)).collect()
        };
        let (queries, keys, values) = (project("query"), project("key"), project("value"));
        let size = WIDTH / HEADS;
        let taken = |query: &Row| -> Row {
            let of_element = |at: usize| {
                let head = at / size * size..(at / size + 1) * size;
                let product = |key: &Row| head.clone().map(|at| query[at] * key[at]).sum::<f64>();
                let root = f64::from(u32::try_from(size).unwrap()).sqrt();
                let weights: Row = keys.iter().map(|key| (product(key) / root).exp()).collect();
                let sum: f64 = weights.iter().sum();
                weights.iter().zip(&values).map(|(weight, value)| weight / sum * value[at]).sum()
            };
            (0..WIDTH).map(of_element).collect()
        };
        let output = |(query, state): (&Row, &Row)| {
            let output = self.linear(&format!("{name}.output.dense"), &taken(query), WIDTH);
            self.norm(&format!("{name}.output"), &plus(state, &output))
        };
        queries.iter().zip(states).map(output).collect()
    }

    fn linear(&self, name: &str, input: &Row, outputs: usize) -> Row {
        let (weight, bias) = (self.tensor(&format!("{name}.weight")), self.tensor(&format!("{name}.bias")));
        let product = |at: usize| -> f64 {
            input.iter().enumerate().map(|(from, element)| weight[at * input.len() + from] * element).sum()
        };
        (0..outputs).map(|at| product(at) + bias[at]).collect()
    }

    fn norm(&self, name: &str, row: &Row) -> Row {
        let scale = self.tensor(&format!("{name}.LayerNorm.weight"));
        let shift = self.tensor(&format!("{name}.LayerNorm.bias"));
        let count = f64::from(u32::try_from(row.len()).unwrap());
        let mean = row.iter().sum::<f64>() / count;
        let variance = row.iter().map(|element| (element - mean).powi(2)).sum::<f64>() / count;
        let normal = |at: usize| (row[at] - mean) / (variance + EPSILON).sqrt() * scale[at] + shift[at];
        (0..row.len()).map(normal).collect()
    }
}

fn plus(a: &Row, b: &Row) -> Row {
    a.iter().zip(b).map(|(a, b)| a + b).collect()
}
