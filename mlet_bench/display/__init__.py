"""How results are shown: numbers as text, frames as tables of text, figures; what pages and figures are put of."""
