"""How good it is: one pooled confusion matrix per data set, class and category IoU, reference rows (paper 4.2)."""
