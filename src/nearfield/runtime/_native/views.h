/* Arrays borrowed from Python: of the right type and size, or refused. For module.c alone. */
#ifndef NEARFIELD_VIEWS_H
#define NEARFIELD_VIEWS_H

#include <Python.h>

#include "engine.h"

#include <string.h>

#define MAX_VIEWS 32

/* Buffers borrowed from Python for the length of a call. */
struct views {
  Py_buffer view[MAX_VIEWS];
  int count;
};

static void release(struct views *views) {
  while (views->count) PyBuffer_Release(&views->view[--views->count]);
}

static int complain(const char *message) {
  PyErr_SetString(PyExc_ValueError, message);
  return -1;
}

/* A contiguous array of `kinds` (struct codes; "" for any); gives NULL with an error set. */
static Py_buffer *borrow(struct views *views, PyObject *object, const char *kinds, int writable) {
  if (views->count == MAX_VIEWS) return complain("too many arrays"), NULL;
  Py_buffer *view = &views->view[views->count];
  int flags = PyBUF_C_CONTIGUOUS | PyBUF_FORMAT | (writable ? PyBUF_WRITABLE : 0);
  if (PyObject_GetBuffer(object, view, flags)) return NULL;
  views->count++;
  const char *format = view->format ? view->format : "B";
  if (*format == '<' || *format == '=' || *format == '@') format++;
  if (!*format || format[1] || (*kinds && !strchr(kinds, *format)))
    return complain("an array is of another type than the engine reads"), NULL;
  return view;
}

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
