/* Arrays borrowed from Python: of the right type, or refused. For the files that are Python's
 * doors to C: here, and the engine's in runtime/_native. */
#ifndef NEARFIELD_BUFFERS_H
#define NEARFIELD_BUFFERS_H

#include <Python.h>

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
    return complain("an array is of another type than is read here"), NULL;
  return view;
}

#endif
