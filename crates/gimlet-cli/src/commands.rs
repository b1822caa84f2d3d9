//! stub
mod shell {
    mod line;
}
