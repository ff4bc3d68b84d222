mod model;
mod plan;
mod turns;
