/* Arrays borrowed from Python: of the right type and size, or refused. For module.c alone. */
#ifndef NEARFIELD_VIEWS_H
#define NEARFIELD_VIEWS_H

#include "../../core/buffers.h"
#include "engine.h"

static const void *borrow_exactly(struct views *views, PyObject *object, const char *kind,
                                  Py_ssize_t count, Py_ssize_t size) {
  Py_buffer *view = borrow(views, object, kind, 0);
  if (!view) return NULL;
  if (view->itemsize != size || view->len != count * size)
    return complain("an array is of another size than the model's"), NULL;
  return view->buf;
}

static const float *borrow_floats(struct views *views, PyObject *object, Py_ssize_t count) {
  return borrow_exactly(views, object, "f", count, sizeof(float));
}

static int borrow_table(struct views *views, PyObject *rows, PyObject *scale, int width,
                        struct table *table) {
  Py_buffer *view = borrow(views, rows, "fdeHhb", 0);
  if (!view) return -1;
  if (view->ndim != 2 || view->shape[1] != width || view->shape[0] < 1 ||
      view->shape[0] > INT32_MAX)
    return complain("a matrix is of another shape than the model's");
  const char *format = view->format;
  switch (format[strlen(format) - 1]) {
    case 'f': table->number = FLOAT32; break;
    case 'd': table->number = FLOAT64; break;
    case 'e': table->number = FLOAT16; break;
    case 'H': table->number = BFLOAT16; break;
    case 'h': table->number = INT16; break;
    default: table->number = INT8;
  }
  table->rows = view->buf;
  table->count = (int)view->shape[0];
  table->width = width;
  table->scale = NULL;
  int whole = table->number == INT16 || table->number == INT8;
  if (whole != (scale != Py_None)) return complain("whole numbers, and only they, need row scales");
  return whole && !(table->scale = borrow_floats(views, scale, table->count)) ? -1 : 0;
}

#endif
