//! Typed places in MuJoCo's structures.

use std::marker::PhantomData;

/// A count in `mjModel` (an `int64_t`).
#[derive(Clone, Copy, Debug)]
pub struct Size {
    pub name: &'static str,
    pub offset: usize,
}

impl Size {
    pub const fn new(name: &'static str, offset: usize) -> Self {
        Size { name, offset }
    }

    /// # Safety
    /// `model` is a live `mjModel` of the version that the table was made from.
    #[inline]
    pub unsafe fn get(self, model: *const u8) -> usize {
        // SAFETY: the caller vouches for the structure; the offset is that of this field.
        let count = unsafe { model.add(self.offset).cast::<i64>().read() };
        count as usize
    }
}

/// An array that a pointer in the structure leads to: `rows` objects of `columns` numbers each.
#[derive(Clone, Copy, Debug)]
pub struct Array<T> {
    name: &'static str,
    offset: usize,
    rows: Size,
    columns: usize,
    element: PhantomData<T>,
}

impl<T: Number> Array<T> {
    pub const fn new(name: &'static str, offset: usize, rows: Size, columns: usize) -> Self {
        Array { name, offset, rows, columns, element: PhantomData }
    }

    /// # Safety
    /// `owner` (the structure that holds the pointer) and `model` are live, of the version that the table was made from, and
    /// stay unchanged for `'a`.
    #[inline]
    pub unsafe fn slice<'a>(self, owner: *const u8, model: *const u8) -> &'a [T] {
        // SAFETY: the caller vouches for both structures; MuJoCo allocates rows x columns elements at the pointer.
        unsafe {
            let len = self.rows.get(model) * self.columns;
            if len == 0 {
                return &[];
            }
            std::slice::from_raw_parts(owner.add(self.offset).cast::<*const T>().read(), len)
        }
    }

    /// # Safety
    /// As [`Array::slice`], and nothing else refers to the array for `'a`.
    #[inline]
    pub unsafe fn slice_mut<'a>(self, owner: *mut u8, model: *const u8) -> &'a mut [T] {
        // SAFETY: as in `slice`; the caller vouches that the borrow is exclusive.
        unsafe {
            let len = self.rows.get(model) * self.columns;
            if len == 0 {
                return &mut [];
            }
            std::slice::from_raw_parts_mut(owner.add(self.offset).cast::<*mut T>().read(), len)
        }
    }

    pub const fn entry(self) -> Entry {
        Entry {
            name: self.name,
            offset: self.offset,
            shape: Shape::Array(self.rows, self.columns),
            read: T::read,
            bytes: size_of::<T>(),
        }
    }
}

/// `N` numbers that lie in the structure itself.
#[derive(Clone, Copy, Debug)]
pub struct Place<T, const N: usize> {
    name: &'static str,
    pub offset: usize,
    element: PhantomData<T>,
}

impl<T: Number, const N: usize> Place<T, N> {
    pub const fn new(name: &'static str, offset: usize) -> Self {
        Place { name, offset, element: PhantomData }
    }

    /// # Safety
    /// `owner` is a live structure of the version that the table was made from.
    #[inline]
    pub unsafe fn array(self, owner: *const u8) -> [T; N] {
        // SAFETY: the caller vouches for the structure; the field is N numbers of this type.
        unsafe { owner.add(self.offset).cast::<[T; N]>().read() }
    }

    pub const fn entry(self) -> Entry {
        Entry { name: self.name, offset: self.offset, shape: Shape::Inside(N), read: T::read, bytes: size_of::<T>() }
    }
}

impl<T: Number> Place<T, 1> {
    /// # Safety
    /// As [`Place::array`].
    #[inline]
    pub unsafe fn get(self, owner: *const u8) -> T {
        // SAFETY: as in `array`.
        unsafe { owner.add(self.offset).cast::<T>().read() }
    }
}

/// Types of numbers that MuJoCo's fields have.
pub trait Number: Copy {
    /// Read one as `f64`, for the proof of the table.
    ///
    /// # Safety
    /// `at` points to a number of this type.
    unsafe fn read(at: *const u8) -> f64;
}

macro_rules! number {
    ($($type:ty)*) => {
        $(impl Number for $type {
            unsafe fn read(at: *const u8) -> f64 {
                // SAFETY: the caller vouches for the type.
                unsafe { at.cast::<$type>().read() as f64 }
            }
        })*
    };
}
number!(f64 f32 i64 i32 u8);

impl Number for bool {
    unsafe fn read(at: *const u8) -> f64 {
        // SAFETY: as above; read as a byte, so that a wrong table cannot make an invalid `bool`.
        unsafe { f64::from(at.read()) }
    }
}

/// A line of the table without its type, for the proof.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    pub name: &'static str,
    pub offset: usize,
    pub shape: Shape,
    pub read: unsafe fn(*const u8) -> f64,
    /// Bytes of a number.
    pub bytes: usize,
}

/// Where the numbers of an [`Entry`] are.
#[derive(Clone, Copy, Debug)]
pub enum Shape {
    /// Behind a pointer: rows, columns.
    Array(Size, usize),
    /// In the structure: how many.
    Inside(usize),
}
