/* Python's door to the engine. Everything that comes in is checked here, once, so that no
 * loop behind it can read or write out of bounds. */
#include <Python.h>

#include "engine.h"
#include "views.h"

#include <stdlib.h>
#include <string.h>

#define MODEL "nearfield.model"
#define HEAD "nearfield.head"
#define MAX_WIDTH (1 << 20)

/* ---------------------------------------------------------------- model */

struct owned_model {
  struct model *model;
  struct views words; /* the word table stays where it is: a mapped file, as a rule */
};

static void drop_model(PyObject *capsule) {
  struct owned_model *owned = PyCapsule_GetPointer(capsule, MODEL);
  free_model(owned->model);
  release(&owned->words);
  free(owned);
}

/* Rows of floats copied into rows padded with zeros. */
static float *padded_copy(const float *from, int rows, int columns, int width) {
  float *to = aligned(sizeof(float) * (size_t)rows * (size_t)width);
  if (!to) return NULL;
  memset(to, 0, sizeof(float) * (size_t)rows * (size_t)width);
  for (int i = 0; i < rows; i++)
    memcpy(to + (ptrdiff_t)i * width, from + (ptrdiff_t)i * columns,
           sizeof(float) * (size_t)columns);
  return to;
}

static int rows_of(const Py_buffer *view, int hidden) {
  Py_ssize_t row = (Py_ssize_t)sizeof(float) * hidden;
  return view->len % row || view->len / row < 1 || view->len / row > INT32_MAX
             ? complain("a table is of another width than the model's")
             : (int)(view->len / row);
}

static int fill_model(struct owned_model *owned, PyObject *words, PyObject *scale,
                      PyObject *positions, PyObject *types, PyObject *weight, PyObject *bias,
                      PyObject *distance, struct views *views) {
  struct model *model = owned->model;
  int hidden = model->hidden, width = model->width;
  if (borrow_table(&owned->words, words, scale, hidden, &model->words)) return -1;
  Py_buffer *view = borrow(views, positions, "f", 0);
  if (!view || (model->position_count = rows_of(view, hidden)) < 1) return -1;
  model->positions = padded_copy(view->buf, model->position_count, hidden, width);
  if (types != Py_None) {
    if (!(view = borrow(views, types, "f", 0))) return -1;
    if ((model->type_count = rows_of(view, hidden)) < 1) return -1;
    model->types = padded_copy(view->buf, model->type_count, hidden, width);
  }
  const float *w = borrow_floats(views, weight, hidden);
  const float *b = w ? borrow_floats(views, bias, hidden) : NULL;
  if (!b) return -1;
  model->norm = padded_copy(w, 2, 0, width);
  if (model->norm) {
    memcpy(model->norm, w, sizeof(float) * (size_t)hidden);
    memcpy(model->norm + width, b, sizeof(float) * (size_t)hidden);
  }
  if (distance != Py_None) {
    if (!(view = borrow(views, distance, "f", 0))) return -1;
    Py_ssize_t per_head = view->len / (Py_ssize_t)sizeof(float) / model->heads;
    if (per_head < 1 || per_head % 2 == 0 || per_head > INT32_MAX ||
        view->len != per_head * model->heads * (Py_ssize_t)sizeof(float))
      return complain("the bias by distance is of another size than the model's");
    model->reach = (int)(per_head / 2);
    model->distance = padded_copy(view->buf, model->heads, (int)per_head, (int)per_head);
  }
  int complete = model->positions && model->norm && model->layers &&
                 (types == Py_None || model->types) && (distance == Py_None || model->distance);
  if (!complete) PyErr_NoMemory();
  return complete ? 0 : -1;
}

static const struct kernels *find_kernels(const char *name) {
  for (const struct kernels *const *k = available_kernels(); *k; k++)
    if (!strcmp((*k)->name, name)) return *k;
  PyErr_Format(PyExc_ValueError, "this processor runs no kernels %s", name);
  return NULL;
}

static PyObject *make_model(PyObject *self, PyObject *args) {
  (void)self;
  int hidden, heads, intermediate, layers, activation;
  float epsilon;
  const char *name;
  PyObject *words, *scale, *positions, *types, *weight, *bias, *distance;
  if (!PyArg_ParseTuple(args, "siiiiifOOOOOOO", &name, &hidden, &heads, &intermediate, &layers,
                        &activation, &epsilon, &words, &scale, &positions, &types, &weight, &bias,
                        &distance))
    return NULL;
  if (hidden < 1 || hidden > MAX_WIDTH || heads < 1 || hidden % heads || intermediate < 1 ||
      intermediate > MAX_WIDTH || layers < 0 || layers > 1000 || activation < IDENTITY ||
      activation > RELU)
    return complain("the model's sizes make no sense"), NULL;
  const struct kernels *kernels = find_kernels(name);
  if (!kernels) return NULL;
  struct owned_model *owned = calloc(1, sizeof *owned);
  if (owned) owned->model = calloc(1, sizeof *owned->model);
  if (!owned || !owned->model) return free(owned), PyErr_NoMemory();
  PyObject *capsule = PyCapsule_New(owned, MODEL, drop_model);
  if (!capsule) return free(owned->model), free(owned), NULL;
  struct model *model = owned->model;
  *model = (struct model){.kernels = kernels, .hidden = hidden, .heads = heads,
                          .intermediate = intermediate, .layer_count = layers,
                          .activation = (enum activation)activation, .epsilon = epsilon};
  model->width = round_up(hidden, GROUP);
  model->head_size = round_up(hidden / heads, PANEL);
  model->mixed = round_up(heads * model->head_size, GROUP);
  model->inner = round_up(intermediate, GROUP);
  model->layers = calloc((size_t)layers + 1, sizeof *model->layers);
  struct views views = {.count = 0};
  int failed = fill_model(owned, words, scale, positions, types, weight, bias, distance, &views);
  release(&views);
  if (failed) Py_CLEAR(capsule);
  return capsule;
}

static int borrow_layer(struct views *views, const struct model *model, PyObject *parts,
                        PyObject *norms, struct layer_source *source) {
  int hidden = model->hidden, inner = model->intermediate;
  if (PyTuple_Size(parts) != PARTS || PyTuple_Size(norms) != 4)
    return PyErr_Occurred() ? -1 : complain("a layer has six matrices and four norms");
  for (int i = 0; i < PARTS; i++) {
    PyObject *weight, *scale, *bias, *part = PyTuple_GetItem(parts, i);
    if (!part || !PyTuple_Check(part)) return complain("a matrix comes as a tuple");
    if (!PyArg_ParseTuple(part, "OOO", &weight, &scale, &bias)) return -1;
    if (borrow_table(views, weight, scale, i == OUTER ? inner : hidden, &source->weight[i]))
      return -1;
    if (source->weight[i].count != (i == INNER ? inner : hidden))
      return complain("a matrix is of another shape than the model's");
    if (!(source->bias[i] = borrow_floats(views, bias, source->weight[i].count))) return -1;
  }
  for (int i = 0; i < 4; i++)
    if (!(source->norm[i] = borrow_floats(views, PyTuple_GetItem(norms, i), hidden))) return -1;
  return 0;
}

static PyObject *add_layer(PyObject *self, PyObject *args) {
  (void)self;
  PyObject *capsule, *parts, *norms;
  int threads;
  if (!PyArg_ParseTuple(args, "OOOi", &capsule, &parts, &norms, &threads)) return NULL;
  struct owned_model *owned = PyCapsule_GetPointer(capsule, MODEL);
  if (!owned) return NULL;
  struct model *model = owned->model;
  if (model->layers_built == model->layer_count || threads < 1)
    return complain("the model has all its layers"), NULL;
  struct layer_source source;
  struct views views = {.count = 0};
  enum build_error error = BUILT;
  int failed = borrow_layer(&views, model, parts, norms, &source);
  if (!failed) {
    Py_BEGIN_ALLOW_THREADS
    error = build_layer(model, &source, threads);
    Py_END_ALLOW_THREADS
  }
  release(&views);
  if (failed) return NULL;
  if (error == OUT_OF_MEMORY) return PyErr_NoMemory();
  if (error == NOT_FINITE) return complain("a weight is NaN or infinite"), NULL;
  Py_RETURN_NONE;
}

/* ----------------------------------------------------------------- head */

static void drop_head(PyObject *capsule) { free_head(PyCapsule_GetPointer(capsule, HEAD)); }

static int fill_dense(struct dense *dense, PyObject *item, int inputs) {
  PyObject *weight, *bias;
  int activation, failed = -1;
  if (!PyTuple_Check(item)) return complain("a dense head comes as a tuple");
  if (!PyArg_ParseTuple(item, "OOi", &weight, &bias, &activation)) return -1;
  if (activation < HEAD_IDENTITY || activation > HEAD_GELU) return complain("no such activation");
  struct views views = {.count = 0};
  Py_buffer *view = borrow(&views, weight, "f", 0); /* [inputs][outputs] */
  if (view && (view->ndim != 2 || view->shape[0] != inputs || view->shape[1] < 1 ||
               view->shape[1] > MAX_WIDTH)) {
    complain("a dense head does not fit what comes before it");
    view = NULL;
  }
  const float *b = view ? borrow_floats(&views, bias, view->shape[1]) : NULL;
  if (b) {
    int outputs = (int)view->shape[1];
    *dense = (struct dense){.inputs = inputs, .outputs = outputs,
                            .activation = (enum head_activation)activation};
    dense->weight = padded_copy(view->buf, inputs, outputs, outputs);
    dense->bias = padded_copy(b, 1, outputs, outputs);
    failed = dense->weight && dense->bias ? 0 : -1;
    if (failed) PyErr_NoMemory();
  }
  release(&views);
  return failed;
}

static int fill_head(struct head *head, int hidden, PyObject *poolings, PyObject *denses, int dim) {
  Py_ssize_t ways = PyTuple_Size(poolings), steps = PyTuple_Size(denses);
  if (ways < 1 || ways > MAX_POOLINGS || steps < 0 || steps > 100)
    return PyErr_Occurred() ? -1 : complain("a head has one to six poolings");
  for (Py_ssize_t i = 0; i < ways; i++) {
    long way = PyLong_AsLong(PyTuple_GetItem(poolings, i));
    if (way < POOL_CLS || way > POOL_LAST)
      return PyErr_Occurred() ? -1 : complain("no such pooling");
    head->pooling[head->poolings++] = (enum pooling)way;
  }
  int width = head->widest = hidden * (int)ways;
  if (!(head->dense = calloc((size_t)steps + 1, sizeof *head->dense)))
    return PyErr_NoMemory(), -1;
  for (Py_ssize_t i = 0; i < steps; i++) {
    struct dense *dense = &head->dense[head->dense_count++];
    if (fill_dense(dense, PyTuple_GetItem(denses, i), width)) return -1;
    width = dense->outputs;
    if (width > head->widest) head->widest = width;
  }
  head->dim = dim;
  return dim < 1 || dim > width ? complain("the head gives fewer numbers than are to be kept") : 0;
}

static PyObject *make_head(PyObject *self, PyObject *args) {
  (void)self;
  int hidden, dim, normalise;
  PyObject *poolings, *denses;
  if (!PyArg_ParseTuple(args, "iOOip", &hidden, &poolings, &denses, &dim, &normalise)) return NULL;
  if (hidden < 1 || hidden > MAX_WIDTH) return complain("the head's width makes no sense"), NULL;
  struct head *head = calloc(1, sizeof *head);
  if (!head) return PyErr_NoMemory();
  head->normalise = normalise;
  head->hidden = hidden;
  PyObject *capsule = NULL;
  if (!fill_head(head, hidden, poolings, denses, dim))
    capsule = PyCapsule_New(head, HEAD, drop_head);
  if (!capsule) free_head(head);
  return capsule;
}

/* --------------------------------------------------------------- encode */

static int check_range(const int32_t *values, int64_t count, int end, const char *what) {
  for (int64_t i = 0; i < count; i++)
    if (values[i] < 0 || values[i] >= end) {
      PyErr_Format(PyExc_IndexError, "%s %d of token %lld is not below %d", what, (int)values[i],
                   (long long)i, end);
      return -1;
    }
  return 0;
}

static int borrow_texts(struct views *views, const struct model *model, PyObject *ids,
                        PyObject *positions, PyObject *types, PyObject *lengths,
                        struct texts *texts) {
  Py_buffer *view = borrow(views, lengths, "i", 0);
  if (!view) return -1;
  if (view->itemsize != 4 || view->len / 4 > INT32_MAX) return complain("too many texts");
  texts->lengths = view->buf;
  texts->count = (int)(view->len / 4);
  int longest = model->distance ? model->reach + 1 : 1 << 20;
  for (int i = 0; i < texts->count; i++) {
    if (texts->lengths[i] < 0 || texts->lengths[i] > longest)
      return complain("a text is longer than the model reads");
    texts->tokens += texts->lengths[i];
  }
  texts->ids = borrow_exactly(views, ids, "i", texts->tokens, 4);
  if (!texts->ids || check_range(texts->ids, texts->tokens, model->words.count, "id")) return -1;
  texts->positions = borrow_exactly(views, positions, "i", texts->tokens, 4);
  if (!texts->positions ||
      check_range(texts->positions, texts->tokens, model->position_count, "position"))
    return -1;
  if (types == Py_None) return 0;
  texts->types = borrow_exactly(views, types, "i", texts->tokens, 4);
  return texts->types ? check_range(texts->types, texts->tokens, model->type_count, "type") : -1;
}

static PyObject *encode(PyObject *self, PyObject *args) {
  (void)self;
  PyObject *model_capsule, *head_capsule, *ids, *positions, *types, *lengths, *out;
  int skip, threads;
  if (!PyArg_ParseTuple(args, "OOOOOOiiO", &model_capsule, &head_capsule, &ids, &positions, &types,
                        &lengths, &skip, &threads, &out))
    return NULL;
  struct owned_model *owned = PyCapsule_GetPointer(model_capsule, MODEL);
  struct head *head = head_capsule == Py_None ? NULL : PyCapsule_GetPointer(head_capsule, HEAD);
  if (PyErr_Occurred()) return NULL;
  const struct model *model = owned->model;
  if (model->layers_built != model->layer_count || skip < 0 || threads < 1)
    return complain("the model lacks layers, or a number is out of range"), NULL;
  if (head && head->hidden != model->hidden)
    return complain("the head is of another model"), NULL;
  struct views views = {.count = 0};
  struct texts texts = {.count = 0};
  int failed = borrow_texts(&views, model, ids, positions, types, lengths, &texts);
  Py_buffer *view = failed ? NULL : borrow(&views, out, "f", 1);
  int64_t rows = head ? texts.count : texts.tokens, columns = head ? head->dim : model->hidden;
  if (view && view->len != rows * columns * (int64_t)sizeof(float)) {
    complain("the output is of another size than the texts'");
    view = NULL;
  }
  if (view) {
    Py_BEGIN_ALLOW_THREADS
    failed = encode_texts(model, head, &texts, skip, threads, view->buf);
    Py_END_ALLOW_THREADS
    if (failed) PyErr_NoMemory();
  }
  release(&views);
  if (PyErr_Occurred()) return NULL;
  Py_RETURN_NONE;
}

static PyObject *kernel_names(PyObject *self, PyObject *args) {
  (void)self, (void)args;
  PyObject *names = PyList_New(0);
  for (const struct kernels *const *k = available_kernels(); names && *k; k++) {
    PyObject *name = PyUnicode_FromString((*k)->name);
    if (!name || PyList_Append(names, name)) Py_CLEAR(names);
    Py_XDECREF(name);
  }
  PyObject *tuple = names ? PyList_AsTuple(names) : NULL;
  Py_XDECREF(names);
  return tuple;
}

static PyMethodDef methods[] = {
    {"kernels", kernel_names, METH_NOARGS, "Names of the kernel sets this processor runs."},
    {"model", make_model, METH_VARARGS, "Begin a model: sizes and tables."},
    {"add_layer", add_layer, METH_VARARGS, "Quantise one layer's weights into a model."},
    {"head", make_head, METH_VARARGS, "Make a head: pooling, dense heads, normalising."},
    {"encode", encode, METH_VARARGS, "Write vectors, or states, of texts into an array."},
    {NULL, NULL, 0, NULL}};

static PyModuleDef_Slot slots[] = {{0, NULL}};
static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, .m_name = "_engine",
                                        .m_doc = "The native encoder engine.",
                                        .m_methods = methods, .m_slots = slots};

PyMODINIT_FUNC PyInit__engine(void) { return PyModuleDef_Init(&definition); }
