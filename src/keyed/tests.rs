mod plan;
mod turns;
